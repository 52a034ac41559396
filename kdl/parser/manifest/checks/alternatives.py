"""Checks that many definitions share: one of several fields, and names that are there once only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from kdl.parser.manifest.problem import Path, Report, choices, field

Doc: TypeAlias = dict[str, Any]
Check: TypeAlias = Callable[[Any, Path, Report], None]


def exactly_one(what: str, *fields: str) -> Check:
    """One of the fields is there, and only one."""

    def check(value: Doc, path: Path, report: Report) -> None:
        found = [name for name in fields if name in value]
        if not found:
            report("KDL521", path, f"`{field(path)}` has no {what}", f"add one of {choices(fields)}", at_key=True)
        else:
            only(found, what, path, report)

    return check


def at_most_one(what: str, *fields: str) -> Check:
    """At most one of the fields is there; without names, any field but `name` counts."""

    def check(value: Doc, path: Path, report: Report) -> None:
        only([name for name in value if (name in fields if fields else name != "name")], what, path, report)

    return check


def only(found: list[str], what: str, path: Path, report: Report) -> None:
    if len(found) > 1:
        message = f"`{field(path)}` has more than one {what}: {choices(found, 'and')}"
        report("KDL521", (*path, found[1]), message, "keep one of them", at_key=True)


def unique(items: Iterable[tuple[str, Path]], what: str, report: Report) -> None:
    seen: dict[str, Path] = {}
    for key, path in items:
        if key in seen:
            message = f"`{field(path)}`: the {what} `{key}` is already taken by `{field(seen[key])}`"
            report("KDL518", path, message, f"give each its own {what}")
        else:
            seen[key] = path
