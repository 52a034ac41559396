"""A mistake in an object, told by the path of its field; a diagnostic once the place of that field is known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, TypeAlias

from kdl.parser.diagnostic import Diagnostic, Note
from kdl.parser.manifest.documents import escape
from kdl.parser.manifest.origin import Origin

Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake at one field; `at_key` points at the field's name rather than at its value.

    Where the message or the help quote the value they say `VALUE`, and `value` is what to put there if the text as it
    was written is not at hand. Secret values are never quoted.
    """

    code: str
    path: Path
    message: str
    help: str = ""
    at_key: bool = False
    value: str = ""

    def diagnostic(self, doc: Any, origin: Origin | None = None) -> Diagnostic:
        """The diagnostic that people read, with the object's name and, if its text is known, the place."""
        span = origin.span(pointer(self.path), key=self.at_key) if origin is not None else None
        value = SECRET if secret(doc, self.path) else (origin and origin.scalar(pointer(self.path))) or self.value
        notes = (Note(f"in {title(doc)}"),) if title(doc) else ()
        message, help = (text.replace(VALUE, value) for text in (self.message, self.help))
        return Diagnostic(self.code, message, span, notes=notes, help=help, field=field(self.path) if self.path else "")


VALUE: Final = "\0"
SECRET: Final = "<secret>"


def secret(doc: Any, path: Path) -> bool:
    """Whether a field's value must not be shown."""
    return isinstance(doc, dict) and doc.get("kind") == "Secret" and path[:1] in (("data",), ("stringData",))


class Report:
    """Collects problems; `broken` counts those after which a value's type cannot be trusted."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.broken = 0

    def __call__(
        self, code: str, path: Path, message: str, help: str = "", *, at_key: bool = False, value: str = ""
    ) -> None:
        self.problems.append(Problem(code, path, message, help, at_key, value))


def pointer(path: Path) -> str:
    """The path as a JSON pointer."""
    return "".join(f"/{escape(step) if isinstance(step, str) else step}" for step in path)


def field(path: Path) -> str:
    """The path as people write it: ``spec.containers[0].image``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif "." in step or "/" in step:
            text += f'["{step}"]'
        else:
            text += f".{step}" if text else step
    return text or "the document"


def title(doc: Any) -> str:
    """What an object calls itself, as far as it says."""
    if not isinstance(doc, dict) or not isinstance(doc.get("kind"), str):
        return ""
    metadata = doc.get("metadata")
    if not isinstance(metadata, dict):
        metadata = {}
    name = metadata.get("name", metadata.get("generateName", ""))
    text = f"{doc['kind']} `{name}`" if isinstance(name, str) and name else doc["kind"]
    return text.encode(errors="backslashreplace").decode()


def choices(words: Iterable[str], last: str = "or") -> str:
    """``a``, ``b`` or ``c``, each in backticks."""
    quoted = [f"`{word}`" for word in words]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} {last} {quoted[-1]}"


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The one of the words that this one was probably meant to be."""
    by_lower = {candidate.lower(): candidate for candidate in words if candidate}
    close = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.7)
    return by_lower[close[0]] if close else None


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """A help sentence, or nothing."""
    found = nearest(word, words)
    return f"did you mean `{found}`?" if found else ""
