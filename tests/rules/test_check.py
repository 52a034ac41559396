"""A whole program: faults made plain, queries checked, programs kept, and no text that breaks the checker."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kdl
from kdl.parser import syntax as s
from kdl.parser.parse import parse_atom, parse_query
from kdl.rules.check import resolve_atom, resolve_query
from kdl.runtime import programs
from tests.rules.programs import fault_rules, program, rule_of

DECLARED = """
input rel o(doc: json).
input rel q(a: str, n: int).
rel text(a: str).
rel number(a: int).
rel anything(a: any).
"""


def faults(rule: str) -> list[str]:
    """The expressions that the rules of faults look at, as they are written or made."""
    found = []
    for fault in fault_rules(program(DECLARED + rule)):
        last = fault.body[-1]
        assert isinstance(last, s.Unification)
        assert isinstance(last.value, s.Call)
        (expression,) = last.value.arguments
        found.append(expression.function if isinstance(expression, s.Call) else type(expression).__name__)
    return found


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("text(A) :- q(A, N), N > 1, N + 1 < 3, not q(A, 3).", []),
        ('text(A) :- q(A, _), startswith(A, "x"), A < "y".', []),
        ("anything(X) :- o(D), X = D.a.", []),
        ("text(X) :- o(D), X = D.a.", ["$typed"]),
        ("text(D.a) :- o(D).", ["$typed"]),
        ("number(X) :- q(_, N), X = 10 / N.", ["Binary"]),
        ("number(X) :- q(_, N), X = N / 10.", []),
        ("number(int(A)) :- q(A, _).", ["int"]),
        ("number(1) :- o(D), D.ok.", ["$condition"]),
        ("number(1) :- o(D), X in D.list, exists(X).", ["$items"]),
        ("number(1) :- o(D), due(D.time).", ["$instant"]),
        ("number(I) :- o(D), I in 1..D.n.", ["$bounds"]),
        ("anything(N) :- N = sum X.n : { o(D), X in D.list }.", ["$items", "$summand"]),
        ("number(N) :- N = count : { o(D), D.n > 3 }.", ["Binary"]),
        ("anything(X) :- o(D), X = lower(D.name) ?? 1.", ["Default"]),
    ],
)
def test_what_can_fault_has_a_rule_and_nothing_else_has(rule: str, expected: list[str]):
    assert faults(rule) == expected


def test_a_fault_rule_has_the_literals_before_and_the_label_of_its_rule():
    (fault,) = fault_rules(program(DECLARED + "number(X) :- q(A, N), N > 0, X = 10 / N, text(A)."))
    assert [type(literal).__name__ for literal in fault.body] == ["Atom", "Test", "Unification"]
    assert fault.head.arguments[0].value == s.Constant("text0.dl:7")


def test_a_dynamic_value_for_a_typed_column_is_tested_last():
    rule = rule_of(program(DECLARED + "text(X) :- o(D), X = D.a, q(X, _)."), "text")
    last = rule.body[-1]
    assert isinstance(last, s.Atom)  # the join with a typed column has tested it
    rule = rule_of(program(DECLARED + "text(X) :- o(D), X = D.a."), "text")
    last = rule.body[-1]
    assert isinstance(last, s.Test)
    assert isinstance(last.condition, s.Call)
    assert last.condition.function == "$typed"


# --- queries ---------------------------------------------------------------------------------------------------------

TWO = program(
    a="module a.\nrel p(x: int, y: str).\nrel lonely(x: int).\ndef twice(X) = X * 2.",
    b="module b.\nrel p(x: int).",
)


def ask(text: str, module: str | None = None) -> tuple[s.Literal, ...]:
    return resolve_query(TWO, parse_query(text), module, text)


def test_a_query_means_what_it_means_inside_a_module():
    (literal,) = ask("p(x: 1)", "a")
    assert isinstance(literal, s.Atom)
    assert (literal.relation, len(literal.arguments)) == ("a.p", 2)


def test_a_query_finds_the_only_relation_of_a_name_and_functions():
    atom, test = ask("lonely(X), X > twice(2)")
    assert isinstance(atom, s.Atom)
    assert atom.relation == "a.lonely"
    assert isinstance(test, s.Test)
    assert not [node for node in s.walk(test) if isinstance(node, s.Call)]


@pytest.mark.parametrize(
    ("text", "code"),
    [("p(1)", "KDL200"), ("nope(1)", "KDL200"), ("c.p(1)", "KDL201"), ("a.p(1)", "KDL207"), ("X > 1", "KDL232")],
)
def test_a_wrong_query_is_a_program_error_that_shows_the_query(text: str, code: str):
    with pytest.raises(kdl.ProgramError) as caught:
        ask(text)
    assert [diagnostic.code for diagnostic in caught.value.diagnostics] == [code]
    assert text in caught.value.render()


def test_a_misspelt_name_in_a_query_is_offered_with_its_module():
    with pytest.raises(kdl.ProgramError) as caught:
        ask("lonley(X)")
    assert caught.value.diagnostics[0].help == "did you mean `a.lonely`?"


def test_a_query_that_can_never_hold_by_its_types_is_refused():
    with pytest.raises(kdl.ProgramError):
        ask('a.p("one", _)')


def test_a_goal_may_leave_columns_open():
    atom = resolve_atom(TWO, parse_atom('a.p(y: "b")'))
    assert isinstance(atom.arguments[0].value, s.Wildcard)


# --- files and kept programs -----------------------------------------------------------------------------------------


def test_a_folder_is_all_its_files_and_a_missing_one_an_error(tmp_path: Path):
    (tmp_path / "a.dl").write_text("module a.\nrel p(x: int).\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.dl").write_text("module b.\nimport a.\nrel q(x: int).\nq(X) :- a.p(X).\n")
    assert {"a.p", "b.q"} <= set(kdl.compile(tmp_path).relations)
    with pytest.raises(kdl.ProgramError) as caught:
        kdl.compile(tmp_path / "none")
    assert caught.value.diagnostics[0].code == "KDL112"


def test_a_kept_program_is_the_same_and_a_changed_text_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    text = "rel p(a: int).\n" + "".join(f"p({i}).\n" for i in range(600))
    first = kdl.compile(text)
    (kept,) = (tmp_path / "kdl").glob("*.program")
    monkeypatch.setattr(programs, "_checked", None)  # what is kept needs no checking
    again = kdl.compile(text)
    assert (again.rules, again.relations, again.strata) == (first.rules, first.relations, first.strata)
    with pytest.raises(TypeError):
        kdl.compile(text + "p(1).\n")
    kept.write_bytes(b"damaged")
    with pytest.raises(TypeError):
        kdl.compile(text)


def test_a_folder_that_cannot_be_written_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert kdl.compile("rel p(a: int).\n" + "p(1).\n" * 900).rules


# --- no text breaks it -----------------------------------------------------------------------------------------------

PACKS = sorted(path for folder in kdl.shipped() for path in folder.rglob("*.dl") if not path.name.endswith("_test.dl"))
PIECES = [
    ".",
    ",",
    ":-",
    "not",
    "(",
    ")",
    "{",
    "}",
    "_",
    "X",
    "null",
    "1",
    '"a"',
    "??",
    "in",
    "count :",
    "rel",
    'f"{X}"',
    "p(X)",
    "D.a",
    "=",
    "#",
]


def survives(text: str) -> None:
    """Compile a text; anything but a program or an error that can be shown escapes."""
    said = "fine"
    try:
        kdl.compile(text + "\n")
    except kdl.ProgramError as error:
        said = error.render()
    assert said


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=25).map(" ".join))
def test_no_text_raises_anything_but_a_program_error(text: str):
    survives(text)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_no_change_of_a_pack_raises_anything_but_a_program_error(seed: int):
    chance = random.Random(seed)
    lines = chance.choice(PACKS).read_text("utf-8").splitlines(keepends=True)
    start = chance.randrange(len(lines))
    text = "".join(line for line in lines[:start] if " rel " in f" {line}")[-3000:] + "".join(lines[start : start + 40])
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(text) + 1)
        cut = chance.choice([0, 0, 1, 5])
        text = text[:at] + chance.choice([*PIECES, ""]) + text[at + cut :]
    survives(text)


@pytest.mark.parametrize(
    "text",
    [f"rel p(a: int).\np({'-' * 3000}1).", "def f(X) = X.\nrel p(a: int).\np(" + "f(" * 300 + "1" + ")" * 300 + ")."],
)
def test_great_depth_is_a_program_error_or_fine(text: str):
    survives(text)
