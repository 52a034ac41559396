"""What flows from one stage of the checker to the next, and how a stage reports a mistake."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches

from kdl.parser import syntax as s
from kdl.parser.diagnostic import Diagnostic, Note, ProgramError, Span
from kdl.rules.program import Relation, Stratum


class Mistake(Exception):
    """One mistake, on its way to the statement that it is in."""

    def __init__(
        self, code: str, message: str, span: Span, label: str = "", notes: Iterable[Note] = (), help: str = ""
    ) -> None:
        super().__init__(message)
        self.diagnostic = Diagnostic(code, message, span, label, tuple(notes), help)


@dataclass(slots=True)
class Draft:
    """A program in the making. Each stage reads and replaces parts of it."""

    files: tuple[s.File, ...]
    sources: Mapping[str, str]
    relations: dict[str, Relation] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    """Qualified named types and the built-in type each is made of."""
    functions: dict[str, s.FunctionDeclaration] = field(default_factory=dict)
    rules: list[s.Rule] = field(default_factory=list)
    tests: list[s.TestCase] = field(default_factory=list)
    scope: dict[str, dict[str, str]] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)
    """The documentation of each module."""
    strata: tuple[Stratum, ...] = ()
    mistakes: list[Diagnostic] = field(default_factory=list)
    warnings: list[Diagnostic] = field(default_factory=list)

    @contextmanager
    def statement(self) -> Iterator[None]:
        """Collect the first mistake of a statement and go on with the next one."""
        try:
            yield
        except Mistake as mistake:
            self.mistakes.append(mistake.diagnostic)

    def stop_at_mistakes(self) -> None:
        """Raise what has been collected: a later stage would only report its consequences."""
        if self.mistakes:
            found = sorted(set(self.mistakes), key=lambda d: d.span or s.NOWHERE)
            raise ProgramError(found, self.sources)


def nearest(word: str, known: Iterable[str]) -> list[str]:
    """The known word that is nearest to one, if any is near."""
    return get_close_matches(word, list(known), n=1, cutoff=0.6)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A help line that offers the nearest known word, or nothing."""
    return "".join(f"did you mean `{near}`?" for near in nearest(word, known))
