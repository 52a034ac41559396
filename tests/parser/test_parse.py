"""Texts become the trees that they mean, and a mistake is shown where it is."""

from pathlib import Path

import pytest

from kdl.fact import FALSE, TRUE, Document
from kdl.parser import syntax as s
from kdl.parser.diagnostic import Diagnostic, ProgramError
from kdl.parser.parse import comments, parse, parse_atom, parse_query

SHAPES = (Path(__file__).parent / "shapes.dl").read_text("utf-8")


def only(text: str) -> s.Statement:
    (statement,) = parse(text).statements
    return statement


def value(text: str) -> s.Expression:
    (literal,) = parse_query(f"X = {text}")
    assert isinstance(literal, s.Unification)
    return literal.value


def mistake(text: str) -> Diagnostic:
    with pytest.raises(ProgramError) as caught:
        parse(text)
    (diagnostic,) = caught.value.diagnostics
    return diagnostic


X, Y = s.Variable("X"), s.Variable("Y")


def test_the_shapes_of_a_control_plane_parse():
    kinds = [type(statement).__name__ for statement in parse(SHAPES).statements]
    assert kinds.count("Rule") == 18
    assert kinds[-1] == "TestCase"


def test_every_node_of_a_tree_knows_its_place():
    for statement in parse(SHAPES, "shapes.dl").statements:
        for node in s.walk(statement):
            assert node.span.file == "shapes.dl", node
            assert 1 <= node.span.line <= node.span.end_line


def test_the_kind_of_a_literal_is_that_of_its_outermost_node():
    body = parse_query("p(X), not p(X), X < 1, X = 1, X in L, K: X in L, due(X), not due(X), N = count : { p(_) }")
    kinds = [s.Atom, s.Negation, s.Test, s.Unification, s.Membership, s.Membership, s.Due, s.Due, s.Aggregate]
    assert [type(literal) for literal in body] == kinds


def test_an_equation_in_parentheses_is_a_test():
    assert isinstance(parse_query("(X = 1)")[0], s.Test)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", s.Binary("+", s.Constant(1), s.Binary("*", s.Constant(2), s.Constant(3)))),
        ("1 - 2 - 3", s.Binary("-", s.Binary("-", s.Constant(1), s.Constant(2)), s.Constant(3))),
        ("X ?? Y ?? 1", s.Default(X, s.Default(Y, s.Constant(1)))),
        ("X + 1 ?? 2", s.Default(s.Binary("+", X, s.Constant(1)), s.Constant(2))),
        ("-1", s.Constant(-1)),
        ("-X", s.Unary("-", X)),
        ("X.a.b[0]", s.Path(X, (s.Constant("a"), s.Constant("b"), s.Constant(0)))),
        ('X["a/b"]', s.Path(X, (s.Constant("a/b"),))),
        ("(1,)", s.Tuple((s.Constant(1),))),
        ("()", s.Tuple(())),
        ("[X, Y,]", s.Tuple((X, Y))),
        ("{}", s.Record(())),
        ('{"a": X}', s.Record(((s.Constant("a"), X),))),
        ("X if Y > 1 else 2", s.Conditional(X, s.Binary(">", Y, s.Constant(1)), s.Constant(2))),
        ("1_000", s.Constant(1000)),
        ("1.0", s.Constant(1)),
        ("true", s.Constant(TRUE)),
        ("false", s.Constant(FALSE)),
        ("null", s.Constant(None)),
        ('cpu"500m"', s.Constant(500)),
        ('mem"1Ki"', s.Constant(1024)),
        ('dur"1m"', s.Constant(60_000)),
        ('cidr"10.1.2.3/8"', s.Constant("10.0.0.0/8")),
        (r'"a\n\"\u{1F600}"', s.Constant('a\n"\U0001f600')),
        ('f"a{X}b{{"', s.Format((s.Constant("a"), X, s.Constant("b{")))),
        (r'f"{X[\"a\"]}"', s.Format((s.Path(X, (s.Constant("a"),)),))),
        ('f"{size(X)}"', s.Format((s.Call("size", (X,)),))),
    ],
)
def test_an_expression_means_its_tree(text: str, expected: s.Expression):
    assert value(text) == expected


def test_a_document_in_a_tree_is_equal_whatever_its_place():
    assert value('{"a": 1}') == value('  {"a" :  1}')
    assert Document({"a": 1}) == Document({"a": 1})


def test_documentation_goes_to_the_statement_below_it():
    file = parse("## The module.\nmodule m.\n\n## One.\n## Two.\nrel p(a: int).\n\n## Lost.\n\nrel q(a: int).\n")
    assert [getattr(statement, "doc", None) for statement in file.statements] == ["The module.", "One.\nTwo.", ""]


def test_sentences_belong_to_their_rule():
    rule = only('## Doc.\n@why f"{X} is there"\n@whynot "no"\np(X) :- q(X).')
    assert isinstance(rule, s.Rule)
    assert (rule.doc, rule.why, rule.whynot) == ("Doc.", s.Format((X, s.Constant(" is there"))), s.Constant("no"))


def test_a_hash_sign_in_a_text_begins_no_comment():
    assert [comment.text for comment in comments('p("#1"). # two\n# three')] == ["# two", "# three"]


def test_types_and_observed_relations_may_be_of_other_modules():
    declaration = only("effect rel p(a: core.node) key(a) observes docker.seen.")
    assert isinstance(declaration, s.RelationDeclaration)
    assert (declaration.columns[0].type, declaration.observes) == ("core.node", "docker.seen")


def test_a_goal_is_one_atom():
    assert parse_atom('p("a", X).').relation == "p"
    with pytest.raises(ProgramError) as caught:
        parse_atom("p(X), q(X)")
    assert caught.value.diagnostics[0].code == "KDL103"


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        ('p(\n  f"abc{Xy + lower(zz)}").', "KDL106", 2, 20),
        ('p("é", f"{X} {").', "KDL110", 1, 14),
        ('p(f"ab{X +}").', "KDL101", 1, 11),
        (r'p("ab\q").', "KDL111", 1, 6),
        ("p(X) :- q(X)\nr(X).", "KDL113", 1, 13),
        ("p(X) :- q(X) # c\n\n\nr(X).", "KDL113", 1, 13),
        ("p(X) :- q(X),\n  r(X)\n  s(X).", "KDL113", 2, 7),
        ("p(X) :- q((X).\nr(X).", "KDL115", 1, 10),
        ('p("a).\nq("b").', "KDL102", 1, 3),
        ("p(X) :- X == 1.", "KDL100", 1, 12),
        ("p(X) :- q(X), ", "KDL101", 1, 14),
    ],
)
def test_a_mistake_is_shown_where_it_is(text: str, code: str, line: int, column: int):
    found = mistake(text)
    assert found.span is not None
    assert (found.code, found.span.line, found.span.column) == (code, line, column)


def test_what_is_nested_too_deeply_is_a_mistake():
    assert mistake(f"p({'(' * 5000}1{')' * 5000}).").code == "KDL114"
    assert mistake(f"p({'1 + ' * 5000}1).").code == "KDL114"
