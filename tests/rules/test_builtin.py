"""The functions of the language, by what they give; and the laws that all of them keep."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdl.fact import FALSE, TRUE, Bool, Document, Value, value
from kdl.rules.builtin import BUILTINS, OPERATORS, Fault, negate

GIVES = [
    ("cpu", ["500m"], 500), ("cpu", [2], 2000), ("cpu", ["0.1"], 100), ("cpu", [None], None), ("mem", ["1Ki"], 1024),
    ("mem", ["1500m"], 2), ("dur", ["1h30m"], 5_400_000), ("time", ["1970-01-01T00:00:01Z"], 1000),
    ("rfc3339", [1000], "1970-01-01T00:00:01Z"), ("cidr", ["10.1.2.3/8"], "10.0.0.0/8"),
    ("cidr_contains", ["10.0.0.0/8", "10.1.2.3"], True), ("cidr_contains", ["10.0.0.0/8", "11.0.0.0/16"], False),
    ("cidr_contains", ["10.0.0.0/8", "::1"], False), ("cidr_host", ["10.0.0.0/24", 5], "10.0.0.5"),
    ("cidr_host", ["10.0.0.0/24", -1], "10.0.0.255"), ("cidr_size", ["10.0.0.0/24"], 256),
    ("cidr_index", ["10.0.0.0/24", "10.0.0.7"], 7), ("cidr_index", ["10.0.0.0/24", "10.0.1.7"], None),
    ("is_ip", ["1.2.3.4"], True), ("is_cidr", ["x"], False),
    ("str", [5], "5"), ("str", ["a"], "a"), ("str", [True], "true"), ("int", ["-12"], -12), ("int", [3], 3),
    ("lower", ["aB"], "ab"), ("upper", ["aB"], "AB"), ("trim", [" a "], "a"), ("split", ["a/b", "/"], ["a", "b"]),
    ("join", [["a", "b"], "-"], "a-b"), ("replace", ["aXa", "a", "b"], "bXb"), ("startswith", ["ab", "a"], True),
    ("endswith", ["ab", "a"], False), ("contains", ["abc", "b"], True), ("contains", [[1, "a"], "a"], True),
    ("contains", [[1], True], False), ("contains", [{"a": 1}, "a"], True), ("substring", ["abcd", 1, 3], "bc"),
    ("substring", ["abcd", -2], "cd"), ("glob", ["*.io/*?", "k8s.io/x"], True), ("glob", ["a*", "ba"], False),
    ("glob", ["a.c", "abc"], False), ("glob", ["[a]", "[a]"], True), ("regex", ["^a+$", "aaa"], True),
    ("regex", ["b", "abc"], True), ("regex_groups", ["(a)(x)?", "ba"], ["a", None]), ("regex_groups", ["z", "a"], None),
    ("json_text", [{"b": [1, True], "a": "x"}], '{"a":"x","b":[1,true]}'), ("json_parse", ['{"a":1.50}'], {"a": 1.5}),
    ("base64_encode", ["hé"], "aMOp"), ("base64_decode", ["aMOp"], "hé"),
    ("size", ["abc"], 3), ("size", [[1, 2]], 2), ("size", [{"a": 1}], 1), ("take", [[1, 2, 3], 2], [1, 2]),
    ("take", [[1], -1], []), ("drop", [[1, 2, 3], 1], [2, 3]), ("reverse", [[1, 2]], [2, 1]),
    ("sort", [["b", 2, None, True, "a", 1]], [None, True, 1, 2, "a", "b"]), ("unique", [[2, 1, 2]], [2, 1]),
    ("concat", [[1], [2], []], [1, 2]), ("concat", [], []), ("flatten", [[[1], [2, 3]]], [1, 2, 3]),
    ("index_of", [["a", "b"], "b"], 1), ("index_of", [["a"], "b"], None), ("keys", [{"b": 1, "a": 2}], ["a", "b"]),
    ("values", [{"b": 1, "a": 2}], [2, 1]), ("get", [{"a": 1}, "a"], 1), ("get", [{"a": 1}, "b"], None),
    ("put", [{"a": {"b": 1}}, ["a", "c"], 2], {"a": {"b": 1, "c": 2}}), ("put", [{"a": 1}, ["a"], None], {}),
    ("put", [{}, ["a", "b"], 1], {"a": {"b": 1}}), ("without", [{"a": 1, "b": 2}, ["a"]], {"b": 2}),
    ("only", [{"a": 1, "b": 2}, ["a", "z"]], {"a": 1}),
    ("merge", [{"a": {"b": 1}}, {"a": {"c": 2}}], {"a": {"b": 1, "c": 2}}),
    ("merge", [{"a": [1]}, {"a": [2]}], {"a": [2]}), ("merge", [None, {"a": 1}], {"a": 1}),
    ("document", [[["a", 1], ["b", None]]], {"a": 1}), ("least", [2, 1], 1), ("greatest", [2, "a"], "a"),
    ("abs", [-2], 2), ("ceil_div", [7, 2], 4), ("ceil_div", [-7, 2], -3), ("power", [2, 10], 1024),
    ("percent", ["25%", 10, "up"], 3), ("percent", ["25%", 10, "down"], 2), ("percent", [4, 10, "up"], 4),
    ("type_of", [None], "null"), ("type_of", [1.5], "decimal"), ("is_string", ["a"], True), ("is_int", [True], False),
    ("is_bool", [True], True), ("is_list", [[]], True), ("is_document", [{}], True), ("exists", [None], False),
    ("exists", [0], True), ("semver_compare", ["1.10.0", "v1.9.9"], 1), ("semver_compare", ["1.0.0-rc.1", "1.0.0"], -1),
    ("semver_compare", ["1.0.0-rc.2", "1.0.0-rc.10"], -1), ("semver_compare", ["1.2.3+a", "1.2.3+b"], 0),
    ("selector_matches", [None, {"a": "b"}], False), ("selector_matches", [{}, {"a": "b"}], True),
    ("selector_matches", [{"matchLabels": {"a": "b"}}, {"a": "b", "c": "d"}], True),
    ("selector_matches", [{"matchLabels": {"a": "b"}}, None], False),
    ("selector_matches", [{"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}, {}], True),
    ("selector_matches", [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {}], False),
    ("selector_matches", [{"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}, {"a": "b"}], True),
    ("seconds", [[[1, "a"], [2, "b"]]], ["a", "b"]), ("ratio", [1, 3, 4], "0.3333"), ("ratio", [1, 1, 2], "1.00"),
    ("env_resolve", [[{"name": "S", "value": "s"}], [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)2$(S)"}]],
     [{"name": "A", "value": "1"}, {"name": "B", "value": "12s"}]),
    ("env_resolve", [[], [{"name": "A", "given": "$(A)"}, {"name": "B", "value": "$(A)"}, {"name": "A", "value": "2"}]],
     [{"name": "A", "value": "2"}, {"name": "B", "value": "$(A)"}]),
    ("env_resolve", [[{"name": "A", "value": "1"}], [{"name": "A", "value": "$(A)$(A)"}]],
     [{"name": "A", "value": "11"}]),
    ("env_resolve", [[], [{"name": "A", "given": {"secret": "s"}}, {"name": "B", "value": "$(A)"},
                          {"name": "C", "value": "<$(A)$(B)>$$"}, {"name": "D", "value": "($(C))"}]],
     [{"name": "A", "value": {"secret": "s"}}, {"name": "B", "value": {"secret": "s"}},
      {"name": "C", "value": ["<", {"secret": "s"}, {"secret": "s"}, ">$"]},
      {"name": "D", "value": ["(<", {"secret": "s"}, {"secret": "s"}, ">$)"]}]),
    ("env_expand", ["$(A)-$(B)-$$(A)", [{"name": "A", "value": "1"}]], "1-$(B)-$(A)"),
    ("env_expand", [["$(A)", "a$(A)", "$$$(A", "$(a$(A))", ""], [{"name": "A", "value": {"secret": "s"}}]],
     [{"secret": "s"}, ["a", {"secret": "s"}], "$$(A", "$(a$(A))", ""]),
]  # fmt: skip

FAULTS = [
    ("int", ["x"]), ("cpu", ["x"]), ("cpu", [True]), ("dur", ["5"]), ("cidr", ["x"]), ("cidr_host", ["10.0.0.0/30", 9]),
    ("lower", [1]), ("split", ["a", ""]), ("join", [[1], ","]), ("regex", ["(", "a"]), ("json_parse", ["{"]),
    ("json_parse", ["NaN"]), ("json_parse", ["1.5e999999999"]), ("json_parse", ['"\\ud800"']),
    ("base64_decode", ["?"]), ("size", [1]), ("take", ["abc", 1]), ("flatten", [[1]]),
    ("document", [[["a"]]]), ("ceil_div", [1, 0]), ("power", [2, 65]), ("percent", ["25", 1, "up"]),
    ("percent", ["25%", 1, "sideways"]), ("semver_compare", ["a", "1.0.0"]), ("selector_matches", ["a", {}]),
    ("selector_matches", [{"matchExpressions": [{"key": "a", "operator": "Near"}]}, {}]), ("time", ["2026-01-01"]),
    ("$typed", ["p", [["a", "str"]], 1]), ("$typed", ["p", [["a", "str"]], None]), ("$items", [3]), ("$condition", [1]),
    ("rfc3339", [10**30]), ("env_expand", ["$(A)", [1]]), ("env_resolve", [[], [{"value": "1"}]]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "expected"), GIVES)
def test_a_function_gives_what_the_reference_says(name: str, arguments: list[object], expected: object):
    found = BUILTINS[name].function(*map(value, arguments))
    assert found == value(expected)
    assert type(found) is type(value(expected))


@pytest.mark.parametrize(("name", "arguments"), FAULTS)
def test_a_function_faults_outside_its_domain(name: str, arguments: list[object]):
    assert BUILTINS[name].partial or name in ("lower", "take")
    with pytest.raises(Fault):
        BUILTINS[name].function(*map(value, arguments))


def test_every_function_has_an_example_here():
    written = {name for name in BUILTINS if not name.startswith("$")}
    assert written - {name for name, _, _ in GIVES} == {"hash", "hash_int", "digest10"}


def test_hashes_depend_on_the_values_alone():
    given_hash = BUILTINS["hash"].function
    assert len(given_hash("a", 1)) == 16
    assert given_hash(value({"a": 1, "b": 2})) == given_hash(value({"b": 2, "a": 1}))
    assert given_hash("1") != given_hash(1) != given_hash(TRUE)
    assert len(BUILTINS["digest10"].function("x")) == 10


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=8) | st.decimals(-100, 100, places=2)
    | st.sampled_from(["10.0.0.0/8", "1.2.3.4", "25%", "500m", "1.2.3", "[a", "2026-01-01T00:00:00Z", "5s", "{}"]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=4), below, max_size=3),
    max_leaves=6,
).map(value)  # fmt: skip


NUMBERS = st.integers(-(10**6), 10**6)
OF_TYPE = {
    "str": st.text(max_size=8), "int": NUMBERS, "time": NUMBERS, "number": NUMBERS, "any": VALUES, "json": VALUES,
    "bool": st.sampled_from([TRUE, FALSE]), "list": st.lists(VALUES, max_size=4).map(tuple),
    "doc": st.dictionaries(st.text(max_size=4), VALUES, max_size=4).map(value),
}  # fmt: skip


def outcome(function: Callable[..., Value], *arguments: Value) -> Value:
    """What a function gives, or the message of its fault."""
    try:
        return function(*arguments)
    except Fault as fault:
        return str(fault)


def is_value(v: object) -> bool:
    """Whether something is a value of the language, through and through."""
    if isinstance(v, tuple):
        return all(map(is_value, v))
    if isinstance(v, Document):
        return all(type(key) is str and item is not None and is_value(item) for key, item in v.items())
    return v is None or type(v) in (str, int, Bool, Decimal)


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from(sorted(name for name in BUILTINS if name != "$typed")))
def test_a_function_gives_a_value_or_faults_whatever_it_is_given(data: st.DataObject, name: str):
    builtin = BUILTINS[name]
    count = data.draw(st.integers(builtin.least, min(builtin.most, builtin.least + 2)))
    arguments = [data.draw(VALUES) for _ in range(count)]
    found = outcome(builtin.function, *arguments)
    assert is_value(found)
    assert found == outcome(builtin.function, *arguments)


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from(sorted(name for name, builtin in BUILTINS.items() if not builtin.partial)))
def test_a_function_that_is_not_partial_never_faults_for_the_right_types(data: st.DataObject, name: str):
    builtin = BUILTINS[name]
    count = data.draw(st.integers(builtin.least, min(builtin.most, builtin.least + 2)))
    arguments = [data.draw(OF_TYPE[builtin.parameter(index)]) for index in range(count)]
    assert is_value(builtin.function(*arguments))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(OPERATORS)), VALUES, VALUES)
def test_an_operator_gives_a_value_or_faults(name: str, a: Value, b: Value):
    assert is_value(outcome(OPERATORS[name], a, b))


def test_arithmetic_is_exact():
    assert OPERATORS["+"](value(0.1), value(0.2)) == value(0.3)
    assert OPERATORS["*"](value(1.5), 2) == 3
    assert type(OPERATORS["*"](value(1.5), 2)) is int
    big, small = value(Decimal("12345678901234567890.5")), value(Decimal("0.0000000001"))
    assert OPERATORS["-"](OPERATORS["+"](big, small), small) == big
    assert OPERATORS["+"](10**40, value(0.5)) == Decimal("1" + "0" * 40 + ".5")
    assert OPERATORS["/"](-7, 2) == -4
    assert OPERATORS["%"](-7, 2) == 1
    assert negate(value(1.5)) == value(-1.5)


def test_equality_is_pythons_for_no_two_types():
    assert OPERATORS["="](1, TRUE) is FALSE
    assert OPERATORS["="](value([1]), value([True])) is FALSE
    assert OPERATORS["="]("1", 1) is FALSE
