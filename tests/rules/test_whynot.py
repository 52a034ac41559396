"""Why-not: reasons by subject whose counts add up, and repairs that were tried."""

from __future__ import annotations

import re

import kdl
from kdl.fact import Fact
from kdl.parser.parse import parse_atom
from kdl.rules.check import resolve_atom
from kdl.rules.naive import Naive
from kdl.rules.render import whynot_json, whynot_text
from kdl.rules.whynot import LINES, WhyNot, goal, why_not

from .test_explain import SCHEDULING, node, pod


def cluster() -> Naive:
    """Twenty nodes: five too small, the last fifteen tainted, two of them too small as well."""
    system = Naive(kdl.compile(SCHEDULING))
    taints = [("taint", (f"n{i}", "gpu")) for i in range(3, 20)]
    system.apply(insert=[pod("web", 500), *[node(f"n{i}", 100 * i) for i in range(20)], *taints])
    return system


def ask(system: Naive, text: str, repair: bool = False) -> WhyNot | None:
    atom = resolve_atom(system.program, parse_atom(text))

    def verify(insert: list[Fact], remove: list[Fact]) -> bool:
        fork = Naive(system.program)
        fork.apply(insert=(set(system.base) - set(remove)) | set(insert), now=system.now)
        return bool(fork.query((atom,)))

    return why_not(system, atom, verify if repair else None)


def test_a_goal_that_holds_has_no_why_not() -> None:
    assert ask(cluster(), 'pod("web", 500)') is None
    assert ask(cluster(), 'pod("web", _)') is None


def test_reasons_are_grouped_by_node_and_their_counts_add_up() -> None:
    answer = ask(cluster(), 'best("web", N)')
    assert answer is not None
    assert {reason.total for reason in answer.reasons} == {20}
    assert sum(reason.count for reason in answer.reasons) == 20
    assert [reason.count for reason in answer.reasons] == [15, 3, 2]
    lines = whynot_text(answer).splitlines()
    assert lines[0] == 'best("web", _) does not hold'
    assert "  1. 15 of 20: taint: untolerated taint gpu (n5, n6, +13)" in lines[2]
    assert "cpu: wants 500, 0…200 free (n0, n1, +1)" in lines[3]


def test_every_group_names_all_its_subjects() -> None:
    answer = ask(cluster(), 'best("web", N)')
    assert answer is not None
    subjects = [name for reason in answer.reasons for name in reason.subjects]
    assert sorted(subjects) == sorted(f"n{i}" for i in range(20))


def test_the_goals_on_the_way_are_named() -> None:
    answer = ask(cluster(), 'best("web", N)')
    assert answer is not None
    assert answer.through == (('feasible("web", _)', "<text>:15"),)


def test_a_goal_about_one_node_speaks_of_that_node_only() -> None:
    answer = ask(cluster(), 'best("web", "n1")')
    assert answer is not None
    assert [reason.text for reason in answer.reasons] == ["cpu: wants 500, 100 free"]
    assert answer.reasons[0].proof is not None
    assert answer.reasons[0].proof.fact.relation == "rejects"


def test_a_better_winner_is_the_reason_against_another() -> None:
    system = cluster()
    system.apply(remove=[("taint", ("n8", "gpu")), ("taint", ("n9", "gpu"))])
    answer = ask(system, 'best("web", "n8")')
    assert answer is not None
    assert [reason.text for reason in answer.reasons] == ['max is [900, "n9"]']


def test_what_nobody_asserted_is_said_to_be_missing() -> None:
    answer = ask(cluster(), 'taint("n1", "gpu")')
    assert answer is not None
    assert answer.reasons[0].text == 'taint("n1", "gpu") is not asserted'
    unknown = ask(cluster(), 'best("db", N)')
    assert unknown is not None
    assert "is not asserted" in unknown.reasons[-1].text or "there is no" in unknown.reasons[-1].text


def test_at_most_twelve_lines_and_the_counts_still_add_up() -> None:
    program = kdl.compile(
        "input rel n(x: str).\ninput rel bad(x: str, why: str).\nrel ok(x: str).\nok(X) :- n(X), not bad(X, _).\n"
    )
    system = Naive(program)
    words = [chr(ord("a") + i) * 3 for i in range(26)]
    system.apply(insert=[("n", (w,)) for w in words] + [("bad", (w, f"is {w}")) for w in words])
    answer = ask(system, "ok(X)")
    assert answer is not None
    assert len(answer.reasons) == LINES
    assert sum(reason.count for reason in answer.reasons) == 26
    assert answer.reasons[-1].text == "15 more reasons"


def test_a_repair_is_one_asserted_fact_and_was_tried() -> None:
    answer = ask(cluster(), 'feasible("web", "n7")', repair=True)
    assert answer is not None
    assert answer.repairs == ('remove taint("n7", "gpu")',)
    both = ask(cluster(), 'feasible("web", "n3")', repair=True)
    assert both is not None
    assert "taint" not in " ".join(both.repairs)


def test_a_sentence_of_the_rule_is_used() -> None:
    program = kdl.compile(
        'input rel n(x: str).\ninput rel up(x: str).\nrel ok(x: str).\n@whynot f"{X} is down"\nok(X) :- n(X), up(X).\n'
    )
    system = Naive(program)
    system.apply(insert=[("n", ("a",)), ("n", ("b",))])
    answer = ask(system, 'ok("a")')
    assert answer is not None
    assert answer.reasons[0].text == "a is down"


def test_a_time_to_come_is_the_reason() -> None:
    system = Naive(kdl.compile("input rel at(t: time).\nrel on(t: time).\non(T) :- at(T), due(T).\n"))
    system.apply(insert=[("at", (90_000,))])
    answer = ask(system, "on(90000)")
    assert answer is not None
    assert answer.reasons[0].text == "1970-01-01T00:01:30Z has not come yet"


def test_recursion_does_not_go_round() -> None:
    program = kdl.compile(
        "input rel e(a: int, b: int).\nrel p(a: int, b: int).\np(X, Y) :- e(X, Y).\np(X, Y) :- p(X, Z), p(Z, Y).\n"
    )
    system = Naive(program)
    system.apply(insert=[("e", (i, (i + 1) % 30)) for i in range(30)])
    answer = ask(system, "p(1, 99)")
    assert answer is not None
    assert re.search(r"there is no (e|p)\(", whynot_text(answer))


def test_goals_from_python_take_an_ellipsis_for_anything() -> None:
    system = cluster()
    answer = why_not(system, goal("best", ("web", ...)))
    assert answer is not None
    assert whynot_json(answer, system.program)["reasons"][0]["count"] == 15


def test_what_is_in_the_way_is_said_in_a_sentence_not_by_the_name_of_what_it_is_tied_to() -> None:
    program = kdl.compile(
        "input rel pod(p: str).\ninput rel bound(p: str, n: str).\nrel on(p: str, n: str).\n"
        '@why f"{P} runs on {N} already"\non(P, N) :- bound(P, N).\n'
        "rel free(p: str).\nfree(P) :- pod(P), not on(P, _).\nrel new(p: str).\nnew(P) :- pod(P), not bound(P, _).\n"
    )
    system = Naive(program)
    system.apply(insert=[("pod", ("web",)), ("bound", ("web", "n3"))])
    for relation, said in (("free", "web runs on n3 already"), ("new", 'bound("web", "n3")')):
        answer = why_not(system, goal(relation, ("web",)))
        assert answer is not None
        assert [reason.text for reason in answer.reasons] == [said]


def test_of_a_long_result_each_part_is_shortened() -> None:
    program = kdl.compile(
        "input rel best(points: int, long: str, n: str).\nrel chosen(n: str).\n"
        "chosen(N) :- best(_, _, N), (_, _, N) = max (P, L, M) : { best(P, L, M) }.\n"
    )
    system = Naive(program)
    system.apply(insert=[("best", (1, "x" * 70, "a")), ("best", (2, "y" * 70, "b"))])
    answer = why_not(system, goal("chosen", ("a",)))
    assert answer is not None
    assert [reason.text for reason in answer.reasons] == [f'max is [2, "{"y" * 58}…, "b"]']


def test_a_field_that_is_another_is_told_beside_what_was_wanted() -> None:
    program = kdl.compile(
        "input rel pod(p: str, doc: json).\nrel state(p: str, type: str, status: str).\n"
        "state(P, C.type, C.status) :- pod(P, D), C = D.state.\n"
    )
    system = Naive(program)
    system.apply(insert=[("pod", ("a", {"state": {"type": "Ready"}})), ("pod", ("b", {"state": {"type": "Done"}}))])
    for name, said in (("a", '`C.status` is missing, not "True"'), ("b", '`C.type` is "Done", not "Ready"')):
        answer = why_not(system, goal("state", (name, "Ready", "True")))
        assert answer is not None
        assert [reason.text for reason in answer.reasons] == [said]
