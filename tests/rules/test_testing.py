"""Tests beside rules: what each step does, and what a failure says."""

from __future__ import annotations

import kdl
from kdl.fact import Fact, row
from kdl.rules.naive import Naive
from kdl.rules.testing import START, Failure, run_tests

PROGRAM = """
input rel object(id: str, doc: json).
input rel taint(n: str, key: str).
rel node(n: str, cpu: int).
node(N, D.cpu) :- object(N, D).
rel rejects(n: str, reason: str).
rejects(N, f"only {C}") :- node(N, C), C < 100.
rejects(N, f"taint {K}") :- node(N, _), taint(N, K).
rel ok(n: str).
ok(N) :- node(N, _), not rejects(N, _).
input rel at(t: time).
rel on(t: time).
on(T) :- at(T), due(T).
"""


def loader(path: str) -> list[Fact]:
    if not path.endswith("two.yaml"):
        raise OSError(f"{path}: no such file")
    return [Fact("object", row((name, {"cpu": cpu}))) for name, cpu in (("a", 50), ("b", 200))]


def outcome(steps: str) -> Failure | None:
    program = kdl.compile(f'{PROGRAM}\ntest "x" {{\n{steps}\n}}\n')
    (result,) = run_tests(program, loader, Naive)
    assert result.passed == (result.failure is None)
    return result.failure


def test_steps_that_hold_pass() -> None:
    assert (
        outcome("""
    load "two.yaml". expect ok("b"). expect not ok("a"). expect ok(N), node(N, 200).
    given taint("b", "gpu"). expect not ok("b"). expect rejects(n: "b").
    expect why rejects("b", _) contains "taint gpu". expect whynot ok("a") contains "only 50".
    remove taint("b", _). expect ok("b").
    """)
        is None
    )


def test_the_clock_starts_at_a_fixed_time_and_advances() -> None:
    assert outcome(f'given at({START + 30_000}). expect not on(_). advance dur"30s". expect on(_).') is None


def test_a_failed_expectation_points_at_its_step_and_shows_the_nearest_facts() -> None:
    failure = outcome('load "two.yaml".\nexpect ok("b").\nexpect node("b", 300).')
    assert failure is not None
    assert failure.span.line == 18
    assert failure.message == 'expected node("b", 300), which does not hold'
    assert failure.nearest[0] == 'node("b", 200)'


def test_of_several_literals_the_first_that_fails_is_named_with_what_is_known() -> None:
    failure = outcome('load "two.yaml". expect node(N, 50), ok(N).')
    assert failure is not None
    assert failure.message == 'expected ok("a"), which does not hold'


def test_what_should_not_hold_is_shown() -> None:
    failure = outcome('load "two.yaml". expect not node(N, 50).')
    assert failure is not None
    assert failure.message == 'expected not, but node("a", 50) holds'


def test_removing_a_derived_fact_removes_the_one_object_it_comes_from() -> None:
    assert outcome('load "two.yaml". remove node(n: "b"). expect not object("b", _). expect node("a", _).') is None


def test_removing_what_rests_on_several_facts_is_refused() -> None:
    failure = outcome('load "two.yaml". given taint("b", "gpu"). remove rejects("b", _). expect ok("b").')
    assert failure is not None
    assert "is derived: remove what it comes from" in failure.message


def test_removing_nothing_is_a_failure() -> None:
    failure = outcome('remove taint("b", "gpu").')
    assert failure is not None
    assert "there is no" in failure.message


def test_an_explanation_without_the_text_is_shown() -> None:
    failure = outcome('load "two.yaml". expect why ok("b") contains "nonsense".')
    assert failure is not None
    assert 'ok("b")' in failure.nearest[0]
    unexplained = outcome('load "two.yaml". expect whynot ok("b") contains "x".')
    assert unexplained is not None
    assert unexplained.message == 'ok("b") holds'


def test_a_file_that_cannot_be_loaded_fails_the_step() -> None:
    failure = outcome('load "three.yaml". expect ok("b").')
    assert failure is not None
    assert "no such file" in failure.message


def test_each_test_begins_empty() -> None:
    one = 'test "one" { given taint("a", "x"). expect taint(_, _). }'
    two = 'test "two" { expect not taint(_, _). }'
    program = kdl.compile(f"{PROGRAM}\n{one}\n{two}\n")
    assert [result.passed for result in run_tests(program, loader, Naive)] == [True, True]
    assert [result.test.name for result in run_tests(program, loader, Naive, chosen="two")] == ["two"]


def test_a_failed_expectation_tells_why_not() -> None:
    failure = outcome('load "two.yaml". given taint("b", "gpu"). expect ok("b").')
    assert failure is not None
    assert any('rejects("b", "taint gpu")' in line or "taint gpu" in line for line in failure.reason)
    assert str(failure).endswith(failure.reason[-1])


def test_what_should_not_hold_tells_why_it_does() -> None:
    for steps in ('expect not ok("b").', 'expect node("b", _), not ok("b").'):
        failure = outcome(f'load "two.yaml". {steps}')
        assert failure is not None
        assert 'ok("b")' in failure.reason[0]
        assert any('object("b"' in line for line in failure.reason)


def test_what_only_the_test_could_have_given_has_no_reason() -> None:
    failure = outcome('expect taint("b", "gpu").')
    assert failure is not None
    assert failure.reason == ()


def test_a_list_with_holes_is_looked_for_expected_and_not() -> None:
    given = 'given object("a", [1, ["x", 2]]).\n'
    assert outcome(given + "expect object(_, [1, [_, 2]]), not object(_, [2, _]).") is None
    failure = outcome(given + "expect not object(_, [_, [_, 2]]).")
    assert failure is not None
    assert failure.message == "expected not object(_, [_, [_, 2]]), which does not hold"
    failure = outcome(given + 'expect why object(_, [1, _, _]) contains "a".')
    assert failure is not None
    assert failure.message == "object(_, [1, _, _]) does not hold"


def test_a_derived_fact_cannot_be_given_and_the_step_that_tries_is_the_one_that_fails() -> None:
    failure = outcome('given ok("n").\nexpect ok("n").')
    assert failure is not None
    assert (failure.step.action, failure.message) == ("given", "`ok` is derived: give what its facts come from")
