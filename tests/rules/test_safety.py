"""Bodies are put in an order in which everything is bound, and otherwise refused."""

import pytest

from kdl.parser import syntax as s
from tests.rules.programs import mistake, program, rule_of

DECLARED = "input rel q(a: int, b: int).\ninput rel r(a: int).\ninput rel d(doc: json).\nrel p(a: int).\n"


def body(rule: str) -> tuple[s.Literal, ...]:
    return rule_of(program(DECLARED + rule), "p").body


def kinds(rule: str) -> list[str]:
    return [type(literal).__name__ for literal in body(rule)]


def test_a_body_that_is_safe_as_written_keeps_its_order():
    assert kinds("p(X) :- q(X, Y), Y > 1, not r(X), r(Y).") == ["Atom", "Test", "Negation", "Atom"]


def test_a_literal_waits_for_what_binds_its_variables_and_no_longer():
    assert kinds("p(X) :- Y > 1, r(X), q(X, Y), r(Y).") == ["Atom", "Atom", "Test", "Atom"]


def test_an_equation_between_bound_values_is_a_test():
    assert kinds("p(X) :- r(X), X = 1 + 1.") == ["Atom", "Test"]
    assert kinds("p(X) :- X = Y + 1, r(Y).") == ["Atom", "Unification"]


def test_an_equation_binds_the_side_that_is_a_variable():
    literal = body("p(X) :- r(Y), Y + 1 = X.")[1]
    assert isinstance(literal, s.Unification)
    assert literal.pattern == s.Variable("X")


def test_an_expression_among_the_arguments_is_an_equation_of_its_own():
    atom, test = body("p(X) :- q(X + 1, X).")
    assert isinstance(atom, s.Atom)
    assert isinstance(test, s.Test)
    made = atom.arguments[0].value
    assert isinstance(made, s.Variable)
    assert "$" in made.name


def test_a_negation_has_wildcards_for_what_is_only_in_it():
    negation = body("p(X) :- r(X), not q(X, Y).")[1]
    assert isinstance(negation, s.Negation)
    assert isinstance(negation.atom.arguments[1].value, s.Wildcard)


def test_a_variable_twice_in_a_negation_stays():
    negation = body("p(X) :- r(X), not q(Y, Y).")[1]
    assert isinstance(negation, s.Negation)
    assert [a.value for a in negation.atom.arguments] == [s.Variable("Y"), s.Variable("Y")]


def test_an_aggregate_waits_for_its_group_wherever_it_is_written():
    assert kinds("p(N) :- N = count : { q(X, _) }, r(X).") == ["Atom", "Aggregate"]


def test_inner_variables_of_two_aggregates_have_different_names():
    first, second = body("p(N) :- N = count : { q(X, _) }, M = count : { q(_, X) }, M > N.")[:2]
    assert isinstance(first, s.Aggregate)
    assert isinstance(second, s.Aggregate)
    names = [{v.name for literal in a.body for v in s.variables(literal)} for a in (first, second)]
    assert not names[0] & names[1]


def test_a_variable_bound_only_outside_correlates_the_inner_tests():
    aggregate = body("p(N) :- r(X), N = count : { r(Y), Y < X }.")[1]
    assert isinstance(aggregate, s.Aggregate)
    assert [type(literal).__name__ for literal in aggregate.body] == ["Atom", "Test"]


@pytest.mark.parametrize(
    ("rule", "code", "name"),
    [
        ("p(X) :- r(Y), Y > 0.", "KDL230", "X"),
        ("p(X).", "KDL230", "X"),
        ("p(X) :- not r(X).", "KDL231", "X"),
        ("p(1) :- not r(X), X > 1.", "KDL232", "X"),
        ("p(1) :- not r(X), not q(X, _).", "KDL231", "X"),
        ("p(1) :- X > 1.", "KDL232", "X"),
        ("p(X) :- X = Y, Y = X.", "KDL232", "Y"),
        ("p(X) :- r(X), X = 1 or Y = 2.", "KDL232", "Y"),
        ("p(X) :- X = Y + 1.", "KDL232", "Y"),
        ("p(X) :- X in L.", "KDL232", "L"),
        ("p(X) :- N = count : { r(X) }, N > 0.", "KDL233", "X"),
        ("p(N) :- N = sum Y : { r(X), X > 0 }.", "KDL232", "Y"),
        ("p(1) :- due(T).", "KDL232", "T"),
        ('@why f"{Y}"\np(X) :- r(X).', "KDL232", "Y"),
    ],
)
def test_a_variable_without_a_value_is_refused(rule: str, code: str, name: str):
    found = mistake(DECLARED + rule)
    assert found.code == code
    assert f"`{name}`" in found.message


def test_a_variable_that_is_used_once_gets_a_warning():
    warnings = program(DECLARED + "p(X) :- q(X, Y).").warnings
    assert [(w.code, w.severity, w.message) for w in warnings] == [("KDL240", "warning", "`Y` is used once")]
