"""Names mean one thing, and a wrong one is explained."""

import pytest

from kdl.parser import syntax as s
from tests.rules.programs import mistake, program, rule_of

CORE = "module core.\ntype node = str.\nrel pod(id: str, node: node).\nopen rel hook(id: str).\ndef twice(X) = X + X.\n"


def test_names_are_qualified_and_columns_complete():
    found = program(core=CORE, mine="module mine.\nimport core.\nrel p(id: str).\np(P) :- core.pod(id: P).")
    atom = rule_of(found, "mine.p").body[0]
    assert isinstance(atom, s.Atom)
    assert atom.relation == "core.pod"
    assert [type(argument.value) for argument in atom.arguments] == [s.Variable, s.Wildcard]


def test_what_is_imported_by_name_needs_no_prefix():
    mine = "module mine.\nfrom core import pod, node, twice.\nrel p(id: str, n: node).\np(twice(P), N) :- pod(P, N)."
    found = program(core=CORE, mine=mine)
    assert found.scope["mine"]["pod"] == "core.pod"
    assert found.relations["mine.p"].types == ("str", "core.node")
    assert [column.type for column in found.relations["mine.p"].columns] == ["str", "str"]


def test_an_own_name_hides_no_other_modules():
    mine = "module mine.\nimport core.\nrel pod(id: str).\npod(P) :- core.pod(P, _)."
    assert {"core.pod", "mine.pod"} <= set(program(core=CORE, mine=mine).relations)


def test_open_relations_take_rules_of_other_modules():
    mine = 'module mine.\nimport core.\ncore.hook("a").'
    assert len(program(core=CORE, mine=mine).rules_of["core.hook"]) == 1


def test_closed_relations_take_none():
    found = mistake(core=CORE, mine='module mine.\nimport core.\ncore.pod("a", "n").')
    assert found.code == "KDL212"
    assert "open rel" in found.help


def test_a_relation_wins_over_a_function_of_its_name():
    found = program("input rel contains(a: int, b: int).\nrel p(a: int).\np(X) :- contains(X, _).")
    assert isinstance(rule_of(found, "p").body[0], s.Atom)


def test_a_function_at_the_top_of_a_body_is_a_condition():
    found = program('input rel q(a: str).\nrel p(a: str).\np(X) :- q(X), glob("a*", X), not glob("b*", X).')
    assert [type(literal) for literal in rule_of(found, "p").body] == [s.Atom, s.Test, s.Test]


def test_functions_are_inlined_where_they_are_called():
    found = program("def f(X) = g(X) + 1.\ndef g(X) = X * 2.\nrel p(a: int).\np(f(3)).")
    assert rule_of(found, "p").head.arguments[0].value == s.Binary(
        "+", s.Binary("*", s.Constant(3), s.Constant(2)), s.Constant(1)
    )


def test_the_effect_of_a_key_is_positions():
    relation = program("effect rel p(a: int, b: str, c: str) key(c, a).").relations["p"]
    assert (relation.key, relation.effect) == ((2, 0), True)


def test_what_observes_names_the_observed_relation():
    docker = "module docker.\ninput rel seen(pod: str, hash: str)."
    node = "module node.\nimport docker.\neffect rel box(pod: str) key(pod) observes docker.seen."
    assert program(docker=docker, node=node).relations["node.box"].observes == "docker.seen"


def test_a_test_file_speaks_from_inside_its_module():
    test = 'module core.\ntest "t" { expect not pod("a", _). }'
    found = program(core=CORE, core_test=test)
    (literal,) = found.tests[0].steps[0].body
    assert isinstance(literal, s.Negation)
    assert literal.atom.relation == "core.pod"


def test_a_test_file_without_a_module_finds_the_only_relation_of_a_name():
    found = program(core=CORE, core_test='test "t" { expect pod("a", _). }')
    assert found.tests[0].steps[0].body[0].relation == "core.pod"


def test_a_test_file_holds_no_rules():
    assert mistake(core=CORE, core_test='module core.\npod("a", "n").').code == "KDL406"


@pytest.mark.parametrize(
    ("mine", "code", "help"),
    [
        ("module mine.\nrel p(a: str).\np(X) :- core.pod(X, _).", "KDL202", "import core."),
        ("module mine.\nrel p(a: str).\np(X) :- pod(X, _).", "KDL202", "write `core.pod` and add `import core.`"),
        ("module mine.\nimport core.\nrel p(a: str).\np(X) :- core.pods(X, _).", "KDL200", "`core.pod`"),
        ("module mine.\nimport cor.", "KDL201", "`core`"),
        ("module mine.\nfrom core import pods.", "KDL200", "`pod`"),
        ("module mine.\nrel p(a: core.node).", "KDL202", "import core."),
        ("module mine.\nrel p(a: string).", "KDL205", "`str`"),
        ("module mine.\nimport core.\nrel p(a: int).\np(core.twise(1)).", "KDL204", "`core.twice`"),
        ("module mine.\nfrom core import pod.\nrel pod(a: int).", "KDL206", ""),
        ("module kdl.", "KDL216", ""),
        ('module mine.\nrel p(a: int).\nkdl.fault("a", "b") :- p(_).', "KDL211", ""),
        ("module mine.\nrel due(a: int).", "KDL216", ""),
        ("module mine.\ndef f(X, X) = X.", "KDL206", ""),
        ("module mine.\nrel p(a: int, a: int).", "KDL206", ""),
    ],
)
def test_a_wrong_name_is_explained(mine: str, code: str, help: str):
    found = mistake(core=CORE, mine=mine)
    assert found.code == code
    assert help in found.help


def test_one_mistake_does_not_hide_those_of_other_statements():
    from kdl.parser.diagnostic import ProgramError

    with pytest.raises(ProgramError) as caught:
        program("rel p(a: int).\np(X) :- q(X).\np(X) :- r(X).")
    assert [diagnostic.span.line for diagnostic in caught.value.diagnostics if diagnostic.span] == [2, 3]
