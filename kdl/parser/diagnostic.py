"""What is told to people about what they wrote: a code, a message, a place with a caret, notes and help.

Programs and manifests share this form. Rendering is pure text; colour is the shell's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple


class Span(NamedTuple):
    """A place in a source text; lines and columns count from 1, the end column is exclusive."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def to(self, other: Span) -> Span:
        """The span from the start of this one to the end of the other."""
        return Span(self.file, self.line, self.column, other.end_line, other.end_column)


@dataclass(frozen=True, slots=True)
class Note:
    """A remark under a diagnostic, with the place it speaks of, if any."""

    message: str
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One mistake. `code` is ``KDL`` and three digits; `kdl explain CODE` tells its whole story."""

    code: str
    message: str
    span: Span | None = None
    label: str = ""
    notes: tuple[Note, ...] = ()
    help: str = ""
    severity: Literal["error", "warning"] = "error"
    field: str = ""
    """The field of a manifest that it is about, as ``spec.containers[0].image``."""

    def render(self, sources: Mapping[str, str]) -> str:
        """The diagnostic as text with the source line and a caret; `sources` maps file names to their text."""
        lines = [f"{self.severity}[{self.code}]: {self.message}"]
        if self.span is not None:
            lines += _excerpt(self.span, self.label, sources)
        lines += [f"  note: {note.message}" + (f" ({note.span})" if note.span else "") for note in self.notes]
        if self.help:
            lines.append(f"  help: {self.help}")
        return "\n".join(lines)

    def json(self) -> dict[str, Any]:
        """The diagnostic as JSON-able data, for scripts and editors."""

        def place(span: Span | None) -> dict[str, Any] | None:
            return None if span is None else {name: getattr(span, name) for name in Span._fields}

        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "span": place(self.span),
            "label": self.label,
            "notes": [{"message": note.message, "span": place(note.span)} for note in self.notes],
            "help": self.help,
        }


def _excerpt(span: Span, label: str, sources: Mapping[str, str]) -> list[str]:
    head = f"  --> {span}"
    text = sources.get(span.file, "").splitlines()
    if not 1 <= span.line <= len(text):
        return [head]
    source = text[span.line - 1].replace("\t", " ")
    end = span.end_column if span.end_line == span.line else len(source) + 1
    caret = "^" * max(1, end - span.column)
    gutter = len(str(span.line))
    return [
        head,
        f"  {span.line} | {source}",
        f"  {' ' * gutter} | {' ' * (span.column - 1)}{caret}{' ' + label if label else ''}",
    ]


class Mistakes(Exception):
    """One or more diagnostics that keep an input from being used; `sources` holds the texts that they point into."""

    def __init__(self, diagnostics: Iterable[Diagnostic], sources: Mapping[str, str] | None = None) -> None:
        self.diagnostics = tuple(diagnostics)
        self.sources = dict(sources or {})
        super().__init__(f"{len(self.diagnostics)} mistake(s): " + "; ".join(d.message for d in self.diagnostics))

    def render(self) -> str:
        """All diagnostics as text, an empty line between two."""
        return "\n\n".join(diagnostic.render(self.sources) for diagnostic in self.diagnostics)


class ProgramError(Mistakes):
    """The mistakes of a program."""


class ManifestError(Mistakes):
    """The mistakes of manifests."""
