"""Runs the tests that stand beside the rules: ``test "…" { given …. expect …. }``.

Every test has an engine of its own, empty, at the same virtual time. Facts of consecutive steps go in as one delta.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final, Protocol, TypeAlias

from kdl.fact import Fact, Row, Value
from kdl.parser import syntax as s
from kdl.parser.diagnostic import Mistakes, Span
from kdl.rules.builtin import Fault
from kdl.rules.evaluate import MISSING, evaluate
from kdl.rules.explain import Facts, Proof, fact_text, goal_text, why
from kdl.rules.program import Program
from kdl.rules.render import proof_text, whynot_text
from kdl.rules.solve import Solver, match_all, names
from kdl.rules.whynot import why_not

START: Final = 1_767_225_600_000
"""Every test begins at 2026-01-01T00:00:00Z."""

NEAREST: Final = 3

Loader: TypeAlias = Callable[[str], Iterable[Fact]]
"""The input facts of a file; `load` passes the path as written, from the folder of the test."""


class System(Facts, Protocol):
    """An engine under test."""

    def apply(self, insert: Any = ..., remove: Any = ..., now: int | None = ...) -> object: ...


@dataclass(frozen=True, slots=True)
class Failure:
    """The step that did not hold, in one sentence, with the nearest facts there were."""

    step: s.Step
    message: str
    nearest: tuple[str, ...] = ()

    @property
    def span(self) -> Span:
        """Where the step is."""
        return self.step.span

    def __str__(self) -> str:
        return "\n".join([f"{self.span}: {self.message}", *(f"  found {line}" for line in self.nearest)])


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
    def __init__(self, message: str, nearest: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.message, self.nearest = message, tuple(nearest)


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
                return Failure(step, failed.message, failed.nearest)
            except (Mistakes, Fault, OSError, ValueError) as error:
                return Failure(step, error.render() if isinstance(error, Mistakes) else str(error))
        return None

    def _step(self, step: s.Step) -> None:
        match step.action:
            case "load":
                self._add(self.loader(str(PurePath(step.span.file).parent / str(_value(step.argument)))))
            case "given":
                self._add([_ground(step.body[0])])
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
            missing = body[held]
            if isinstance(missing, s.Negation):
                row = next(solver.rows(missing.atom, next(solver.solve(body[:held], {}))))
                raise _Failed(f"expected not, but {fact_text(Fact(missing.atom.relation, row))} holds")
            text = goal_text(missing, next(solver.solve(body[:held], {}))) if isinstance(missing, s.Atom) else ""
            nearest = self._nearest(missing) if isinstance(missing, s.Atom) else ()
            raise _Failed(f"expected {text or 'this'}, which does not hold", nearest)
        if not wanted and found is not None:
            atoms = [goal_text(literal, found) for literal in body if isinstance(literal, s.Atom)]
            raise _Failed(f"expected not, but {', '.join(atoms) or 'it'} holds")

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
