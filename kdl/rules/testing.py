"""Runs the tests that stand beside the rules: ``test "…" { given …. expect …. }``.

Every test has an engine of its own, empty, at the same virtual time. Facts of consecutive steps go in as one delta.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from textwrap import dedent
from typing import Any, Final, Protocol, TypeAlias

from kdl.fact import Fact, Row, Value
from kdl.parser import syntax as s
from kdl.parser.diagnostic import Mistakes, Span
from kdl.rules.builtin import Fault
from kdl.rules.evaluate import MISSING, Bindings, evaluate
from kdl.rules.explain import Facts, why
from kdl.rules.program import Program
from kdl.rules.proof import Proof
from kdl.rules.render import proof_text, whynot_text
from kdl.rules.solve import Solver, match_all, names
from kdl.rules.whynot import why_not
from kdl.rules.wording import fact_text, goal_text, source_text

START: Final = 1_767_225_600_000
"""Every test begins at 2026-01-01T00:00:00Z."""

NEAREST: Final = 3
LINES: Final = 12
"""So many lines of a proof or a why-not are shown under a failure."""

Loader: TypeAlias = Callable[[str], Iterable[Fact]]
"""The input facts of a file; `load` passes the path as written, from the folder of the test."""


class System(Facts, Protocol):
    """An engine under test."""

    def apply(self, insert: Any = ..., remove: Any = ..., now: int | None = ...) -> object: ...


@dataclass(frozen=True, slots=True)
class Failure:
    """The step that did not hold, in one sentence, with the nearest facts there were and the reason why or why not."""

    step: s.Step
    message: str
    nearest: tuple[str, ...] = ()
    reason: tuple[str, ...] = ()

    @property
    def span(self) -> Span:
        """Where the step is."""
        return self.step.span

    def __str__(self) -> str:
        lines = [f"{self.span}: {self.message}", *(f"  found {line}" for line in self.nearest)]
        return "\n".join([*lines, *(f"  {line}" for line in self.reason)])


@dataclass(frozen=True, slots=True)
class Result:
    """A test and, if it did not pass, its failure."""

    test: s.TestCase
    failure: Failure | None

    @property
    def passed(self) -> bool:
        """Whether every step held."""
        return self.failure is None


class _Failed(Exception):
    def __init__(self, message: str, nearest: Iterable[str] = (), reason: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.message, self.nearest, self.reason = message, tuple(nearest), tuple(reason)


def run_tests(
    program: Program, loader: Loader, start: Callable[[Program], System], chosen: str = ""
) -> Iterator[Result]:
    """Run the tests whose name contains `chosen`, each on a new system from `start`."""
    for test in program.tests:
        if chosen in test.name:
            yield Result(test, _Run(start(program), loader).run(test))


class _Run:
    """One test under way: facts wait until a step looks at them."""

    def __init__(self, system: System, loader: Loader) -> None:
        self.system, self.loader = system, loader
        self.base: set[Fact] = set()
        self.insert: set[Fact] = set()
        self.remove: set[Fact] = set()
        self.now = START
        self.stale = True

    def run(self, test: s.TestCase) -> Failure | None:
        for step in test.steps:
            try:
                self._step(step)
            except _Failed as failed:
                return Failure(step, failed.message, failed.nearest, failed.reason)
            except (Mistakes, Fault, OSError, ValueError) as error:
                return Failure(step, error.render() if isinstance(error, Mistakes) else str(error))
        return None

    def _step(self, step: s.Step) -> None:
        match step.action:
            case "load":
                self._add(self.loader(str(PurePath(step.span.file).parent / str(_value(step.argument)))))
            case "given":
                fact = _ground(step.body[0])
                if not self.system.program.relations[fact.relation].input:
                    raise _Failed(f"`{fact.relation}` is derived: give what its facts come from")
                self._add([fact])
            case "remove":
                self._remove(step.body[0])
            case "advance":
                self._settle()
                duration = _value(step.argument)
                if not isinstance(duration, int) or duration < 0:
                    raise _Failed("the clock goes forward by a duration")
                self.now += duration
                self.stale = True
            case "expect" | "expect not":
                self._settle()
                self._expect(step.body, step.action == "expect")
            case _:
                self._settle()
                self._explain(step)

    def _add(self, facts: Iterable[Fact]) -> None:
        for fact in facts:
            self.insert.add(fact)
            self.remove.discard(fact)
            self.stale = True

    def _settle(self) -> None:
        if self.stale:
            self.base = (self.base - self.remove) | self.insert
            self.system.apply(insert=list(self.insert), remove=list(self.remove), now=self.now)
            self.insert, self.remove, self.stale = set(), set(), False

    def _remove(self, atom: s.Literal) -> None:
        """Remove the asserted facts that match; of a derived fact, the one asserted fact that it rests on."""
        self._settle()
        assert isinstance(atom, s.Atom)
        matching = [Fact(atom.relation, row) for row in self._matching(atom)]
        if not matching:
            raise _Failed(f"there is no {goal_text(atom, {})} to remove", self._nearest(atom))
        for fact in matching:
            self.remove.add(fact if fact in self.base else self._support(fact))
        self.stale = True

    def _support(self, fact: Fact) -> Fact:
        proof = why(self.system, fact.relation, fact.row)
        leaves = {leaf for leaf in _leaves(proof) if leaf in self.base} if proof is not None else set()
        if len(leaves) != 1:
            raise _Failed(f"{fact_text(fact)} is derived: remove what it comes from", map(fact_text, leaves))
        return leaves.pop()

    def _matching(self, atom: s.Atom) -> list[Row]:
        patterns = [argument.value for argument in atom.arguments]
        return [row for row in self.system.lookup(atom.relation, {}) if match_all(patterns, row, {}) is not None]

    def _expect(self, body: tuple[s.Literal, ...], wanted: bool) -> None:
        solver = Solver(self.system.lookup, self.system.now)
        found = next(solver.solve(body, {}), None)
        if wanted and found is None:
            held = next(n for n in range(len(body), -1, -1) if next(solver.solve(body[:n], {}), None) is not None)
            missing, bindings = body[held], next(solver.solve(body[:held], {}))
            if isinstance(missing, s.Negation):
                fact = Fact(missing.atom.relation, next(solver.rows(missing.atom, bindings)))
                raise _Failed(f"expected not, but {fact_text(fact)} holds", reason=self._why(fact))
            if not isinstance(missing, s.Atom):
                raise _Failed(f"expected {source_text(self.system.program, missing)}, which does not hold")
            message = f"expected {goal_text(missing, bindings)}, which does not hold"
            raise _Failed(message, self._nearest(missing), self._why_not(missing, bindings))
        if not wanted and found is not None:
            atoms = [literal for literal in body if isinstance(literal, s.Atom)]
            reason = self._why(Fact(atoms[0].relation, next(solver.rows(atoms[0], found)))) if atoms else ()
            held_texts = [goal_text(atom, found) for atom in atoms]
            raise _Failed(f"expected not, but {', '.join(held_texts) or 'it'} holds", reason=reason)

    def _why(self, fact: Fact) -> list[str]:
        """The first lines of a fact's proof; nothing for one that was given."""
        proof = why(self.system, fact.relation, fact.row)
        if proof is None or proof.rule is None:
            return []
        return _shortened(proof_text(proof, self.system.program).splitlines())

    def _why_not(self, atom: s.Atom, bindings: Bindings) -> list[str]:
        """The reasons why a goal does not hold; nothing for what only the test could have given."""
        if not self.system.program.rules_of[atom.relation]:
            return []
        found = why_not(self.system, _bound(atom, bindings))
        return _shortened(dedent(whynot_text(found).partition("\n")[2]).splitlines()) if found is not None else []

    def _explain(self, step: s.Step) -> None:
        atom = step.body[0]
        assert isinstance(atom, s.Atom)
        text = str(_value(step.argument))
        if step.action == "expect why":
            proofs = [why(self.system, atom.relation, row) for row in self._matching(atom)]
            texts = [proof_text(proof, self.system.program) for proof in proofs if proof is not None]
            missing = f"{goal_text(atom, {})} does not hold"
        else:
            refusal = why_not(self.system, atom)
            texts = [whynot_text(refusal)] if refusal is not None else []
            missing = f"{goal_text(atom, {})} holds"
        if not texts:
            raise _Failed(missing, self._nearest(atom))
        if not any(text in found for found in texts):
            raise _Failed(f"the explanation does not contain {text!r}", texts[0].splitlines())

    def _nearest(self, atom: s.Atom) -> list[str]:
        """The facts of the relation that agree with the atom in most columns."""

        def agreement(row: Row) -> int:
            pairs = zip(atom.arguments, row, strict=True)
            return sum(not names(a.value) and match_all([a.value], (item,), {}) is not None for a, item in pairs)

        rows = sorted(self.system.lookup(atom.relation, {}), key=agreement, reverse=True)[:NEAREST]
        return [fact_text(Fact(atom.relation, row)) for row in rows] or [f"no {atom.relation} at all"]


def _shortened(lines: list[str]) -> list[str]:
    return lines if len(lines) <= LINES else [*lines[: LINES - 1], f"… {len(lines) - LINES + 1} more lines"]


def _bound(atom: s.Atom, bindings: Bindings) -> s.Atom:
    """The atom with the values that its variables have."""

    def change(node: s.Node) -> s.Node:
        if isinstance(node, s.Variable) and node.name in bindings:
            return s.Constant(bindings[node.name], span=node.span)
        return s.rebuild(node, change)

    return s.rebuild(atom, change)


def _leaves(proof: Proof) -> Iterator[Fact]:
    if proof.rule is None:
        yield proof.fact
    for premise in proof.premises:
        if isinstance(premise, Proof):
            yield from _leaves(premise)


def _value(e: s.Expression | None) -> Value:
    found = evaluate(e, {}) if e is not None else MISSING
    if found is MISSING:
        raise _Failed("this has no value")
    return found


def _ground(atom: s.Literal) -> Fact:
    assert isinstance(atom, s.Atom)
    if any(isinstance(node, (s.Variable, s.Wildcard)) for node in s.walk(atom)):
        raise _Failed("a given fact has a value in every column")
    return Fact(atom.relation, tuple([_value(argument.value) for argument in atom.arguments]))
