"""The laws of values: types never mix, and what is written is what is read."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kdl.fact import Bool, Document, Shared, Value, canonical, digest, literal, sort_key, type_name, value
from kdl.parser import syntax as s
from kdl.parser.parse import parse_query
from kdl.rules.evaluate import evaluate

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(-2, 2),
    st.decimals(allow_nan=False, allow_infinity=False, places=3),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=6),
    st.sampled_from(["", "1", "true", "null", 'a"b', "\\", "{x}"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/", max_size=2), inner, max_size=3),
    max_leaves=8,
).map(value)

lasting = settings(derandomize=True, database=None, deadline=None, max_examples=400)


def _has_long_decimal(one: Value) -> bool:
    """Sources take decimals of at most 28 digits."""
    return any(sum(map(str.isdigit, word)) > 28 for word in literal(one).split() if "." in word)


@lasting
@given(values)
def test_a_value_written_as_the_language_writes_it_is_read_as_itself(one: Value) -> None:
    assume(not _has_long_decimal(one))
    (found,) = parse_query(f"X = {literal(one)}")
    assert isinstance(found, s.Unification)
    read = evaluate(found.value, {})
    assert read == one
    assert type_name(read) == type_name(one)  # type: ignore[arg-type]


@lasting
@given(values, values)
def test_values_of_different_type_are_never_equal(one: Value, other: Value) -> None:
    if type_name(one) != type_name(other):
        assert one != other
        assert [one] != [other]
        assert {one} != {other}


def _parts(one: Value) -> Iterator[Value]:
    """A value and all that is in it."""
    yield one
    if isinstance(one, Document):
        yield from one.keys()
    for part in one.values() if isinstance(one, Document) else one if isinstance(one, tuple) else ():
        yield from _parts(part)


@lasting
@given(st.lists(values, max_size=12), st.sampled_from([1, 2, 1000]))
def test_sharing_changes_no_value_and_what_is_equal_becomes_one_object(some: list[Value], size: int) -> None:
    shared = Shared(size)
    given = (*some, *pickle.loads(pickle.dumps(some)))
    found = shared.within(given)
    assert list(map(literal, found)) == list(map(literal, given))
    assert len(shared._young) <= size
    assert len(shared._old) <= size
    if size == 1000:
        known: dict[Value, Value] = {}
        for part in _parts(found):
            if isinstance(part, (str, Document, tuple)) and part is not found:
                assert known.setdefault(part, part) is part


def test_one_true_and_the_text_one_are_three_values() -> None:
    assert len({value(1), value(True), value("1")}) == 3
    assert len({value(0), value(False), value(None), value(""), value([]), value({})}) == 6


@lasting
@given(values, values)
def test_equal_values_have_equal_hashes_digests_and_places_in_the_order(one: Value, other: Value) -> None:
    assert (one == other) == (canonical(one) == canonical(other))
    assert (one == other) == (sort_key(one) == sort_key(other))
    if one == other:
        assert hash(one) == hash(other)
        assert digest(one) == digest(other)


@lasting
@given(st.lists(values, max_size=6))
def test_the_order_of_values_is_total(items: list[Value]) -> None:
    ordered = sorted(items, key=sort_key)
    assert all(not sort_key(b) < sort_key(a) for a, b in pairwise(ordered))
    backwards = items[::-1]
    assert ordered == sorted(backwards, key=sort_key)


@lasting
@given(st.dictionaries(st.text("abc", max_size=2), scalars, max_size=4))
def test_documents_are_equal_regardless_of_key_order_and_null_members(members: dict[str, object]) -> None:
    one = value(members)
    other = value({**{"zz": None}, **dict(reversed(list(members.items())))})
    assert one == other
    assert hash(one) == hash(other)
    assert isinstance(one, Document)
    assert None not in one.values()


@lasting
@given(scalars)
def test_numbers_are_exact(one: object) -> None:
    found = value(one)
    assert not isinstance(found, float)
    if isinstance(one, Decimal):
        assert found == one
    assert isinstance(found, Bool) == isinstance(one, bool)


def test_a_comparison_of_different_types_is_false_not_a_mistake() -> None:
    for text in ("(1 = true)", '(1 = "1")', "(0 = false)", "(null = false)", '("" = [])'):
        (found,) = parse_query(text)
        assert isinstance(found, s.Test)
        assert not evaluate(found.condition, {})
