"""Syntax trees → a checked program, as a table of stages; and the same checks for one query against a program."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from kdl.parser import syntax as s
from kdl.parser.diagnostic import Diagnostic, ProgramError
from kdl.rules import faults, functions, names, safety, strata, termination, types
from kdl.rules.draft import Draft, Mistake
from kdl.rules.program import Program

STAGES: Final[tuple[Callable[[Draft], None], ...]] = (
    names.resolve,
    functions.inline,
    safety.order,
    types.check,
    faults.expose,
    strata.stratify,
    termination.bound,
)
"""Each stage reads and replaces parts of the draft; mistakes of one end the checking before the next."""


def check(files: Sequence[s.File], sources: Mapping[str, str] | None = None) -> Program:
    """The program that the files make together. Raises `ProgramError` with every root mistake."""
    draft = Draft(tuple(files), dict(sources or {}))
    try:
        for stage in STAGES:
            stage(draft)
            draft.stop_at_mistakes()
    except RecursionError:
        mistake = Diagnostic("KDL114", "an expression, or a chain of functions, is nested too deeply")
        raise ProgramError([mistake], draft.sources) from None
    return Program(
        draft.relations,
        tuple(draft.rules),
        draft.strata,
        tuple(draft.tests),
        draft.sources,
        tuple(draft.warnings),
        draft.scope,
        draft.functions,
        draft.types,
        draft.modules,
    )


def resolve_query(
    program: Program, body: tuple[s.Literal, ...], module: str | None = None, text: str | None = None
) -> tuple[s.Literal, ...]:
    """A query's literals, checked and in a safe order like a rule's body. Raises `ProgramError`.

    A name without a module means what it means inside `module`, or the only relation of that name in the program.
    """
    try:
        resolved = names.resolve_body(body, names.query_scope(program, module))
        ordered = safety.order_body([functions.inlined(literal, program.functions) for literal in resolved])
        return faults.guarded(ordered, program.relations, program.types)[0]
    except Mistake as mistake:
        raise _error(mistake, program, text) from None


def resolve_atom(program: Program, atom: s.Atom, module: str | None = None, text: str | None = None) -> s.Atom:
    """The goal of a why or whynot: qualified, every column in order, arguments bound or not. Raises `ProgramError`."""
    try:
        resolved = names.resolve_goal(atom, names.query_scope(program, module))
        return functions.inlined(resolved, program.functions)
    except Mistake as mistake:
        raise _error(mistake, program, text) from None


def _error(mistake: Mistake, program: Program, text: str | None) -> ProgramError:
    span = mistake.diagnostic.span
    extra = {span.file: text} if text is not None and span is not None else {}
    return ProgramError([mistake.diagnostic], {**program.sources, **extra})
