"""Field writes, merge patches, JSON patches and selectors, by the examples of their specifications."""

from __future__ import annotations

import copy
import time
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdl.fact import Document, value
from kdl.runtime.api.errors import ApiError
from kdl.runtime.api.patch import find, json_patch, merge, put
from kdl.runtime.api.selector import field_selector, label_selector

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c/d", "e~f"]), inner),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from(["a", "b", "c/d"]), JSON)
PATHS = st.lists(st.sampled_from(["a", "b", "c~1d", "e~0f"]), min_size=1, max_size=4).map(lambda s: "/" + "/".join(s))


def document(x: object) -> Document:
    return cast(Document, value(x))


@given(OBJECTS, PATHS, JSON)
def test_what_is_put_at_a_path_is_found_there(doc: dict[str, Any], path: str, item: object) -> None:
    try:
        after = put(document(doc), [(path, item)])
    except ApiError:
        return  # the path goes through a value without members
    assert find(after, path) == value(item)


@given(OBJECTS, PATHS, JSON)
def test_putting_twice_changes_nothing_more(doc: dict[str, Any], path: str, item: object) -> None:
    try:
        once = put(document(doc), [(path, item)])
    except ApiError:
        return
    assert put(once, [(path, item)]) == once


def test_a_path_may_go_through_a_list() -> None:
    doc = document({"a": [{"b": 1}, {"b": 2}]})
    assert put(doc, [("/a/1/b", 3), ("/a/-", {"b": 4}), ("/a/0", None)]) == value({"a": [{"b": 3}, {"b": 4}]})


@pytest.mark.parametrize("path", ["", "a", "/a/b/c", "/list/7", "/list/x"])
def test_a_path_that_leads_nowhere_is_refused(path: str) -> None:
    with pytest.raises(ApiError):
        put(document({"a": {"b": 1}, "list": [1]}), [(path, 1)])


@pytest.mark.parametrize(
    ("doc", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_the_examples_of_rfc_7386(doc: Any, patch: Any, result: Any) -> None:
    before = copy.deepcopy(doc)
    assert merge(doc, patch) == result
    assert doc == before


@pytest.mark.parametrize(
    ("doc", "operation", "result"),
    [
        ({"a": 1}, {"op": "add", "path": "/b", "value": 2}, {"a": 1, "b": 2}),
        ({"a": [1, 3]}, {"op": "add", "path": "/a/1", "value": 2}, {"a": [1, 2, 3]}),
        ({"a": [1]}, {"op": "add", "path": "/a/-", "value": 2}, {"a": [1, 2]}),
        ({"a": 1, "b": 2}, {"op": "remove", "path": "/b"}, {"a": 1}),
        ({"a": [1, 2, 3]}, {"op": "remove", "path": "/a/1"}, {"a": [1, 3]}),
        ({"a": {"b": 1}}, {"op": "replace", "path": "/a/b", "value": 2}, {"a": {"b": 2}}),
        ({"a": {"b": 1}, "c": {}}, {"op": "move", "from": "/a/b", "path": "/c/d"}, {"a": {}, "c": {"d": 1}}),
        ({"a": [1, 2, 3]}, {"op": "move", "from": "/a/0", "path": "/a/2"}, {"a": [2, 3, 1]}),
        ({"a": {"b": 1}}, {"op": "copy", "from": "/a", "path": "/c"}, {"a": {"b": 1}, "c": {"b": 1}}),
        ({"a/b": 1}, {"op": "replace", "path": "/a~1b", "value": 2}, {"a/b": 2}),
        ({"a": 1}, {"op": "test", "path": "/a", "value": 1}, {"a": 1}),
        ({"a": 1}, {"op": "add", "path": "", "value": {"b": 2}}, {"b": 2}),
    ],
)
def test_operations_of_rfc_6902(doc: Any, operation: Any, result: Any) -> None:
    assert json_patch(doc, [operation]) == result


def test_what_is_copied_is_no_part_of_two_places() -> None:
    patch = [{"op": "copy", "from": "/a", "path": "/b"}, {"op": "add", "path": "/b/x", "value": 1}]
    assert json_patch({"a": {}}, patch) == {"a": {}, "b": {"x": 1}}


def test_a_small_patch_does_not_make_a_large_document_or_long_work() -> None:
    doubling = [{"op": "copy", "from": "/a", "path": f"/a/{number}"} for number in range(60)]
    with pytest.raises(ApiError, match="larger than the limit") as error:
        json_patch({"a": {"b": "c"}}, doubling)
    assert error.value.status == 413
    add = {"op": "add", "path": "/a/b", "value": 1}
    with pytest.raises(ApiError, match="maximum operations"):
        json_patch({"a": {}}, [add] * 10_001)
    begun = time.process_time()
    large = {"a": {str(number): number for number in range(60_000)}}
    tests = [{"op": "test", "path": "", "value": 1}, *[add] * 9_000]
    with pytest.raises(ApiError, match="test of `` failed"):
        json_patch(large, tests)
    json_patch(large, [add] * 10_000)
    assert time.process_time() - begun < 2


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/missing"},
        {"op": "replace", "path": "/missing", "value": 1},
        {"op": "add", "path": "/a/b/c", "value": 1},
        {"op": "add", "path": "/list/9", "value": 1},
        {"op": "test", "path": "/a", "value": True},
        {"op": "add", "path": "/list/²", "value": 1},
        {"op": "add", "path": "/list/" + "9" * 5000, "value": 1},
        {"op": "copy", "from": "/a/b", "path": "/b"},
        {"op": "move", "from": "/missing", "path": "/a"},
        {"op": "jump", "path": "/a"},
        {"op": "add"},
        "add",
    ],
)
def test_an_operation_that_cannot_be_done_is_refused(operation: Any) -> None:
    with pytest.raises(ApiError):
        json_patch({"a": 1, "list": []}, [operation])


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ("", True),
        ("app=web", True),
        ("app==web,tier=front", True),
        ("app = web , tier!=back", True),
        ("app=db", False),
        ("none!=x", True),
        ("tier in (back, front)", True),
        ("tier notin (back,front)", False),
        ("none notin (x)", True),
        ("none in (x)", False),
        ("app,!none", True),
        ("!app", False),
        ("example.com/x=", True),
    ],
)
def test_a_label_selector_selects_as_in_kubernetes(selector: str, selected: bool) -> None:
    labels = {"app": "web", "tier": "front", "example.com/x": ""}
    assert label_selector(selector)({"metadata": {"labels": labels}}) is selected


@pytest.mark.parametrize("selector", ["a b", "a in x", "a in (x", "=x", "a=b=c", "a,,b", "!", "a>1"])
def test_what_is_no_label_selector_is_refused(selector: str) -> None:
    with pytest.raises(ApiError, match="unable to parse"):
        label_selector(selector)


def test_a_field_selector_takes_a_missing_field_for_empty() -> None:
    doc = {"metadata": {"name": "web"}, "spec": {"count": 3}}
    assert field_selector("metadata.name=web,spec.nodeName=,spec.count=3")(doc)
    assert not field_selector("spec.nodeName!=")(doc)
    assert not field_selector("metadata.name.x=y")(doc)
