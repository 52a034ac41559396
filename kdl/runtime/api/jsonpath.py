"""JSON paths as definitions of custom kinds write them: ``.spec.replicas``, ``.items[0]``, ``[?(@.type=="Ready")]``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

_STEP: Final = re.compile(
    r"""\.(?P<member>(?:[^.\[\\]|\\.)+)"""
    r"""|\[(?P<index>-?\d+)\]"""
    r"""|\[(?:'(?P<single>[^']*)'|"(?P<double>[^"]*)")\]"""
    r"""|\[(?P<all>\*)\]"""
    r"""|\[\?\(\s*@\.(?P<field>[\w.-]+)\s*==\s*(?:'(?P<is1>[^']*)'|"(?P<is2>[^"]*)")\s*\)\]"""
)


def find(doc: Any, path: str) -> Any:
    """The first value at a path; None where there is none, or where the text is no path that is understood."""
    return next(_walk(doc, _steps(path)), None)


@lru_cache(1024)
def _steps(path: str) -> tuple[dict[str, str | None], ...]:
    text = path.strip().removeprefix("{").removesuffix("}").removeprefix("$")
    if text and text[0] not in ".[":
        text = f".{text}"
    found = []
    at = 0
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None:
            return ({"member": "\0"},)  # what no document has
        found.append(match.groupdict())
        at = match.end()
    return tuple(found)


def _walk(value: Any, steps: tuple[dict[str, str | None], ...]) -> Iterator[Any]:
    if not steps:
        if value is not None:
            yield value
        return
    step, rest = steps[0], steps[1:]
    name = step.get("member") or step.get("single") or step.get("double")
    if name is not None:
        if isinstance(value, Mapping):
            yield from _walk(value.get(re.sub(r"\\(.)", r"\1", name)), rest)
    elif isinstance(value, (list, tuple)):
        if (index := step.get("index")) is not None:
            if -len(value) <= int(index) < len(value):
                yield from _walk(value[int(index)], rest)
        else:
            wanted = step.get("is1") if step.get("is1") is not None else step.get("is2")
            for item in value:
                if step.get("all") or str(find(item, f".{step['field']}")) == wanted:
                    yield from _walk(item, rest)


def parts(path: str) -> tuple[str, ...]:
    """The members of a path that goes through members only."""
    return tuple(str(step["member"]) for step in _steps(path))
