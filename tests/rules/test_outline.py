"""Explanations can be opened by number and drawn; what is drawn is what is said."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import kdl
from kdl.fact import row
from kdl.rules.explain import why
from kdl.rules.naive import Naive
from kdl.rules.outline import WHOLE, Entry, entry, of_proof, of_why_not, opened
from kdl.rules.picture import dot, svg
from kdl.rules.render import proof_text, whynot_text
from kdl.rules.whynot import goal, why_not

TEXT = """
input rel node(n: str, doc: json).
input rel bad(n: str, why: str).
rel known(n: str). known(N) :- node(N, _).
rel size(n: int). size(N) :- N = count : { known(M), not bad(M, _) }.
rel both(n: int). both(N) :- size(N), known("n0"), size(N).
rel good(n: str). good(N) :- known(N), not bad(N, _).
"""


def system(bad: int = 0) -> Naive:
    """With one that is bad, n0 is in no case among those that the aggregate shows."""
    found = Naive(kdl.compile(TEXT))
    names = [f"n{i}" for i in range(42)]
    found.apply(insert=[("node", (n, {"name": n, "long": ["x" * 30] * 5})) for n in names])
    found.apply(insert=[("bad", (n, f"it is bad {n}")) for n in names[:bad]])
    return found


def proof(facts: Naive, relation: str, *items: object) -> Entry:
    found = why(facts, relation, row(items))
    assert found is not None
    return of_proof(found, facts.program)


def find(facts: Naive, root: Entry, number: str) -> Entry:
    found = entry([root], number, facts.program)
    assert found is not None
    return opened(found, facts.program)


def test_an_aggregate_shows_five_contributors_and_all_of_them_when_opened() -> None:
    facts = system()
    root = proof(facts, "size", 42)
    lines = list(root.lines())
    assert lines[1].strip() == "1 count of 42 = 42"
    assert lines[-1].strip() == "… 37 more (expand 1)"
    whole = find(facts, root, "1")
    assert [one.number for one in whole.below if one.kind == "fact"] == [f"1.{n}" for n in range(1, 43)]
    assert whole.details == ("N = count : { known(M), not bad(M, _) }",)


def test_a_contributor_that_was_left_out_has_a_number_that_can_be_opened() -> None:
    facts = system()
    late = find(facts, proof(facts, "size", 42), "1.40.1")
    assert late.kind == "asserted"
    assert late.number == "1.40.1"
    assert entry([proof(facts, "size", 42)], "1.43", facts.program) is None


def test_an_opened_fact_shows_its_values_in_full_and_its_rule() -> None:
    facts = system()
    fact = find(facts, proof(facts, "known", "n3"), "1")
    assert any('"long":' in line for line in fact.details)
    assert sum(line.count("x" * 30) for line in fact.details) == 5
    assert "known(N) :- node(N, _)." in " ".join(find(facts, proof(facts, "both", 42), "2").details)


def test_what_was_shown_above_can_be_opened_where_it_is_referred_to() -> None:
    facts = system(bad=1)
    root = proof(facts, "both", 41)
    (seen,) = [one for one in root.walk() if one.kind == "seen"]
    assert seen.text.endswith("(see 1)")
    assert find(facts, root, seen.number).below[0].kind == "aggregate"


def test_a_negation_says_what_was_absent_and_where_it_was_looked_for() -> None:
    facts = system(bad=2)
    assert 'not bad("n7", _): none of 2, looked up by n' in list(proof(facts, "good", "n7").lines())[-1]


def test_each_subject_of_a_why_not_can_be_opened_down_to_what_is_in_the_way() -> None:
    facts = system(bad=42)
    facts.apply(remove=[("bad", ("n41", "it is bad n41"))])
    facts.apply(remove=[("node", ("n41", row([{"name": "n41", "long": ["x" * 30] * 5}])[0]))])
    answer = why_not(facts, goal("good", (...,)))
    assert answer is not None
    root = of_why_not(answer, facts.program)
    assert whynot_text(answer).splitlines()[-1].startswith("  1. 41 of 41: it is bad n0…40 (n0, n1, +39)")
    subjects = find(facts, root, "1").below
    assert [one.number for one in subjects] == [f"1.{n}" for n in range(1, 42)]
    assert subjects[10].text == "n10: it is bad n10"
    assert 'bad("n10", "it is bad n10")  asserted' in list(find(facts, root, "1.11").lines())[1]


def test_the_reasons_that_were_left_out_are_opened_by_the_number_of_the_last_line() -> None:
    program = kdl.compile("input rel n(x: str).\ninput rel bad(x: str, w: str).\nrel ok(x: str).\n"
                          "ok(X) :- n(X), not bad(X, _).\n")  # fmt: skip
    facts = Naive(program)
    words = [chr(ord("a") + i) * 3 for i in range(26)]
    facts.apply(insert=[("n", (w,)) for w in words] + [("bad", (w, f"is {w}")) for w in words])
    answer = why_not(facts, goal("ok", (...,)))
    assert answer is not None
    rest = find(facts, of_why_not(answer, program), "12")
    assert [one.number for one in rest.below] == [f"12.{n}" for n in range(1, 16)]
    assert all(re.match(r"1 of 26: is (\w)\1\1 ", one.text) for one in rest.below)


def test_text_of_a_proof_is_its_whole_outline() -> None:
    facts = system()
    found = why(facts, "both", row((42,)))
    assert found is not None
    assert proof_text(found, facts.program).splitlines() == list(of_proof(found, facts.program, depth=WHOLE).lines())


def test_a_deep_proof_is_folded_and_shows_what_the_folded_part_ends_in() -> None:
    links = "".join(f"rel r{n}(x: int).\nr{n}(X) :- r{n - 1}(X), here(X).\n" for n in range(1, 9))
    facts = kdl.Engine(kdl.compile(f"input rel r0(x: int).\ninput rel here(x: int).\n{links}"))
    facts.apply(insert=[("r0", (1,)), ("here", (1,))])
    found = why(facts, "r8", row((1,)))
    assert found is not None
    root = of_proof(found, facts.program)
    assert list(root.lines())[4:7] == [
        "        1.1.1.1 r4(1)  <text>:10  … (expand 1.1.1.1)",
        "          r0(1)  asserted",
        "          here(1)  asserted",
    ]
    opened_there = entry([root], "1.1.1.1", facts.program)
    assert opened_there is not None
    assert "r1(1)  <text>:4" in "\n".join(opened(opened_there, facts.program).lines())


def test_a_fact_that_only_hands_on_another_is_passed_over() -> None:
    links = "".join(f"rel r{n}(x: int).\nr{n}(X) :- r{n - 1}(X).\n" for n in range(1, 4))
    facts = kdl.Engine(kdl.compile(f"input rel r0(x: int).\n{links}"))
    facts.apply(insert=[("r0", (1,))])
    found = why(facts, "r3", row((1,)))
    assert found is not None
    assert list(of_proof(found, facts.program).lines()) == ["r3(1)  <text>:7", "  1 r0(1)  asserted"]


def test_a_drawing_has_a_box_for_every_entry_and_a_line_to_each_below() -> None:
    root = proof(system(), "both", 42)
    tree = ElementTree.fromstring(svg([root]))
    shapes = [shape.tag.rpartition("}")[2] for shape in tree.iter()]
    entries = list(root.walk())
    assert shapes.count("rect") == len(entries) + 1
    assert shapes.count("path") == len(entries) - 1
    said = " ".join("".join(shape.itertext()) for shape in tree.iter() if shape.tag.endswith("text"))
    assert "count of 42 = 42" in said


def test_a_graph_draws_what_is_shown_twice_once() -> None:
    root = proof(system(bad=1), "both", 41)
    graph = dot([root])
    entries = list(root.walk())
    assert len(re.findall(r"^  n\d+ \[label=", graph, re.MULTILINE)) == len(entries) - 1
    arrows = re.findall(r"^  (n\d+) -> (n\d+);$", graph, re.MULTILINE)
    assert len(arrows) == len(entries) - 1
    assert len({target for _, target in arrows}) == len(arrows) - 1
    assert set(re.findall(r"n\d+", " ".join(" ".join(pair) for pair in arrows))) == set(
        re.findall(r"^  (n\d+) \[", graph, re.MULTILINE)
    )
