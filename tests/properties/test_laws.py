"""The laws of the engine, over random programs and random histories."""

from __future__ import annotations

import os
from collections import Counter
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import kdl
from kdl import Engine
from kdl.fact import Delta, Fact
from kdl.parser.diagnostic import ProgramError
from kdl.rules.explain import why
from kdl.rules.naive import Naive
from kdl.rules.program import Program
from kdl.rules.solve import Solver
from tests.properties import checker
from tests.properties.programs import Step, histories, net, programs, shown
from tests.rules.histories import insides

HISTORIES = int(os.environ.get("KDL_HISTORIES", "2000"))
PROOFS = 40
"""How many proofs of one history are checked."""

repeatable = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=False,
    phases=(Phase.explicit, Phase.generate, Phase.shrink) if "KDL_SHRINK" in os.environ else (Phase.generate,),
)
"""Random, but the same each time. A failure is shown as found; with KDL_SHRINK set it is made small first."""


def accepted(text: str) -> Program | None:
    """The program; None if the checker refuses it (recursion that it cannot bound)."""
    try:
        return kdl.compile(text)
    except ProgramError:
        return None


def facts(system: Engine | Naive, program: Program) -> dict[str, set[tuple[object, ...]]]:
    return {name: set(system.facts(name)) for name in program.relations}


def apply(system: Engine | Naive, step: Step) -> Delta:
    return system.apply(insert=step.insert, remove=step.remove, now=step.now)


def sides(delta: Delta) -> tuple[dict[str, set[object]], dict[str, set[object]]]:
    return (
        {name: set(rows) for name, rows in delta.added.items() if rows},
        {name: set(rows) for name, rows in delta.removed.items() if rows},
    )


def test_engine_equals_naive_after_every_step_of_a_random_history(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Facts and deltas are equal, and no fact changes before the time that the engine says it waits for.

    Recursion is kept up row by row or is worked out anew, as the number says that counts as small.
    """
    seen: Counter[str] = Counter()

    @settings(repeatable, max_examples=HISTORIES + HISTORIES // 10)
    @given(programs(), histories(), st.sampled_from([1000, 1000, 3, 0]))
    def law(text: str, steps: list[Step], small: int) -> None:
        program = accepted(text)
        if program is None:
            return
        monkeypatch.setattr("kdl.rules.recursion.SMALL", small)
        monkeypatch.setattr("kdl.rules.maintain.SMALL", small)
        engine, naive = Engine(program), Naive(program)
        for number, step in enumerate(steps):
            before = facts(naive, program)
            due = engine.due()
            changed, expected = apply(engine, step), apply(naive, step)
            case = f"after step {number + 1} of\n{shown(text, steps)}"
            after = facts(naive, program)
            assert facts(engine, program) == after, case
            assert sides(changed) == sides(expected), case
            assert not any(changed.added.get(name, set()) & before[name] for name in before), case
            if not step.insert and not step.remove and step.now is not None and (due is None or step.now < due):
                assert after == before, case
            assert engine.due() == due_after(naive, engine, program), case
            seen["witnesses"] += checker.check_ranks(program, naive.facts, engine.rank, Solver(naive.lookup, naive.now))
            seen["steps"] += 1
        seen["histories"] += 1

    law()
    with capsys.disabled():
        print(f"\n{seen['histories']} random program histories, {seen['steps']} steps: engine = naive", end="")
        print(f", {seen['witnesses']} witnesses of recursive facts checked")
    assert seen["histories"] >= HISTORIES


def due_after(naive: Naive, engine: Engine, program: Program) -> int | None:
    """The engine may wait for fewer times than the specification, for none that are past."""
    due = engine.due()
    assert due is None or due > engine.now
    return due


@settings(repeatable, max_examples=150)
@given(programs(), histories())
def test_one_delta_gives_what_many_give_in_any_order(text: str, steps: list[Step]) -> None:
    """Batch = one at a time, whatever the order."""
    program = accepted(text)
    if program is None:
        return
    base, now = net(steps)
    batch, single = Engine(program), Engine(program)
    batch.apply(insert=base, now=now)
    shuffled = list(base)
    Random(len(text)).shuffle(shuffled)
    single.apply(now=now)
    for fact in shuffled:
        single.apply(insert=[fact])
    history = Engine(program)
    for step in steps:
        apply(history, step)
    assert facts(single, program) == facts(batch, program), shown(text, steps)
    assert facts(history, program) == facts(batch, program), shown(text, steps)


@settings(repeatable, max_examples=150)
@given(programs(), histories())
def test_a_delta_and_its_reverse_change_nothing(text: str, steps: list[Step]) -> None:
    """δ then −δ = nothing, and the second report is the reverse of the first."""
    program = accepted(text)
    if program is None:
        return
    engine = Engine(program)
    base: set[Fact] = set()
    for step in steps:
        engine.apply(now=step.now)
        before, due = facts(engine, program), engine.due()
        insert = [fact for fact in step.insert if fact not in base]
        forth = engine.apply(insert=insert, remove=step.remove)
        back = engine.apply(insert=step.remove, remove=insert)
        assert facts(engine, program) == before, shown(text, steps)
        assert sides(back) == sides(forth)[::-1], shown(text, steps)
        assert engine.due() == due, shown(text, steps)
        engine.apply(insert=insert, remove=step.remove)
        base = (base - set(step.remove)) | set(step.insert)


@settings(repeatable, max_examples=300)
@given(programs(), histories())
def test_after_a_cold_run_ranks_are_the_rounds_of_the_specification(text: str, steps: list[Step]) -> None:
    """So proofs are of minimal height; components that wait for times count their waiting too."""
    program = accepted(text)
    if program is None or "due" in text:
        return
    base, now = net(steps)
    engine, naive = Engine(program), Naive(program)
    engine.apply(base, now=now)
    naive.apply(base, now=now)
    for name in program.relations:
        for row in naive.facts(name):
            assert engine.rank(name, row) == naive.rank(name, row), shown(text, steps)


@settings(repeatable, max_examples=300)
@given(programs(), histories(), st.sampled_from([100, 0]))
def test_what_is_supposed_leaves_everything_as_it_was(
    monkeypatch: pytest.MonkeyPatch, text: str, steps: list[Step], small: int
) -> None:
    """Facts, counts, groups and times; the supposition is what `apply` makes, to any depth."""
    program = accepted(text)
    if program is None:
        return
    monkeypatch.setattr("kdl.rules.maintain.SMALL", small)
    engine, other = Engine(program), Engine(program)
    first, *rest = steps
    apply(engine, first)
    apply(other, first)
    for step in rest:
        before, due = insides(engine), engine.due()
        with engine.supposing(step.insert, step.remove, step.now) as changed:
            supposed, then = facts(engine, program), engine.due()
            inner = engine.whatif(step.remove, step.insert)
            with engine.supposing(step.remove, step.insert):
                engine.apply(first.insert)
                engine.due()
            assert facts(engine, program) == supposed, shown(text, steps)
        assert engine.due() == due, shown(text, steps)
        assert insides(engine) == before, shown(text, steps)
        assert sides(engine.whatif(step.insert, step.remove, step.now)) == sides(changed), shown(text, steps)
        assert insides(engine) == before, shown(text, steps)
        assert sides(apply(other, step)) == sides(changed), shown(text, steps)
        assert facts(other, program) == supposed, shown(text, steps)
        assert other.due() == then, shown(text, steps)
        assert sides(other.whatif(step.remove, step.insert)) == sides(inner), shown(text, steps)
        apply(engine, step)


@settings(repeatable, max_examples=120)
@given(programs(), histories())
def test_every_derived_fact_has_a_proof_that_an_independent_checker_accepts(text: str, steps: list[Step]) -> None:
    """Of each history the first facts of every relation are proved."""
    program = accepted(text)
    if program is None:
        return
    engine = Engine(program)
    for step in steps:
        apply(engine, step)
    base, now = net(steps)
    for name in program.relations:
        for row in sorted(engine.facts(name), key=str)[: PROOFS // 8]:
            proof = why(engine, name, row)
            assert proof is not None
            checker.check(proof, engine.facts, set(base), now)
