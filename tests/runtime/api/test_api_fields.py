"""Field sets, managers and the two merges that go by the schema: laws, and Kubernetes' own examples."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdl.fact import Document, value
from kdl.parser.manifest.kinds import BUILT_IN
from kdl.parser.manifest.structure import structure_of
from kdl.runtime.api.errors import ApiError
from kdl.runtime.api.fields import compare, decoded, encoded, fields_of, without_fields
from kdl.runtime.api.managed import Manager, applied, tracked
from kdl.runtime.api.strategic import strategic_merge

POD = BUILT_IN.named("Pod")
DEPLOYMENT = BUILT_IN.named("Deployment")
assert POD is not None
assert DEPLOYMENT is not None
STRUCTURE = structure_of(POD)

NAMES = st.sampled_from(["a", "b", "c"])
TEXT = st.sampled_from(["x", "y", ""])
CONTAINERS = st.dictionaries(
    NAMES,
    st.fixed_dictionaries(
        {"image": TEXT},
        optional={
            "args": st.lists(TEXT, max_size=2),
            "ports": st.lists(st.sampled_from([80, 443, 53]), unique=True, max_size=2).map(
                lambda ports: [{"containerPort": port} for port in ports]
            ),
        },
    ),
    max_size=3,
).map(lambda found: [{"name": name, **rest} for name, rest in found.items()])
PODS = st.fixed_dictionaries(
    {},
    optional={
        "metadata": st.fixed_dictionaries({}, optional={"labels": st.dictionaries(NAMES, TEXT, max_size=3)}),
        "spec": st.fixed_dictionaries(
            {}, optional={"containers": CONTAINERS, "hostname": TEXT, "nodeSelector": st.dictionaries(NAMES, TEXT)}
        ),
    },
)


def tidy(doc: Any) -> Any:
    """The value without empty maps and lists, which are fields themselves and so not among those below others."""
    if isinstance(doc, dict):
        kept = {key: tidy(item) for key, item in doc.items()}
        return {key: item for key, item in kept.items() if item not in ({}, [])}
    return [tidy(item) for item in doc] if isinstance(doc, list) else doc


def document(doc: object) -> Document:
    made = value(doc)
    assert isinstance(made, Document)
    return made


@given(PODS)
def test_a_field_set_is_what_its_text_says(doc: dict[str, Any]) -> None:
    fields = fields_of(document(doc), STRUCTURE)
    assert decoded(json.loads(json.dumps(encoded(fields)))) == fields


@given(PODS.map(tidy), PODS.map(tidy))
def test_what_changes_is_the_difference_of_what_is_there_and_of_values(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    before, after = document(old), document(new)
    changed, removed = compare(before, after, STRUCTURE)
    had, has = fields_of(before, STRUCTURE), fields_of(after, STRUCTURE)
    assert has - had <= changed <= has
    assert had - has <= removed <= had | {()}
    assert compare(before, before, STRUCTURE) == (frozenset(), frozenset())


@given(PODS.map(tidy), PODS.map(tidy))
def test_applying_twice_is_applying_once_and_what_is_applied_is_there(
    live: dict[str, Any], config: dict[str, Any]
) -> None:
    wanted, manager = document(config), Manager("me", "Apply")
    once = applied(document(live), (), wanted, POD, manager, True, "now")
    again = applied(once.doc, once.entries, wanted, POD, manager, False, "later")
    assert again == once
    assert fields_of(wanted, STRUCTURE) - {()} <= fields_of(once.doc, STRUCTURE)


@given(PODS)
def test_what_nobody_applies_any_more_goes(config: dict[str, Any]) -> None:
    manager = Manager("me", "Apply")
    first = applied(Document(), (), document(config), POD, manager, False, "now")
    second = applied(first.doc, first.entries, Document(), POD, manager, False, "now")
    managed = {f for f in fields_of(second.doc, STRUCTURE) if f[:2] == ("f:metadata", "f:labels") or f[0] == "f:spec"}
    assert all(len(field) <= 2 for field in managed)


def test_fields_leave_by_their_keys() -> None:
    doc = document({"spec": {"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]}})
    gone = frozenset({("f:spec", "f:containers", 'k:{"name":"a"}')})
    assert without_fields(doc, gone, STRUCTURE) == {"spec": {"containers": ({"name": "b", "image": "y"},)}}


def test_a_conflict_names_manager_and_field_and_force_takes_it() -> None:
    live = document({"spec": {"replicas": 1, "paused": True}})
    entries = tracked((), None, live, DEPLOYMENT, Manager("kubectl"), "now")
    config = document({"spec": {"replicas": 2}})
    with pytest.raises(ApiError) as caught:
        applied(live, entries, config, DEPLOYMENT, Manager("me", "Apply"), False, "now")
    assert caught.value.message == (
        'Apply failed with 1 conflict: conflict with "kubectl" using apps/v1: .spec.replicas'
    )
    assert caught.value.details["causes"][0]["reason"] == "FieldManagerConflict"
    taken = applied(live, entries, config, DEPLOYMENT, Manager("me", "Apply"), True, "now")
    assert {entry["manager"]: entry["fieldsV1"] for entry in taken.entries} == {
        "kubectl": {"f:spec": {"f:paused": {}}},
        "me": {"f:spec": {"f:replicas": {}}},
    }
    same = applied(live, entries, document({"spec": {"replicas": 1}}), DEPLOYMENT, Manager("me", "Apply"), False, "now")
    assert [entry["manager"] for entry in same.entries] == ["kubectl", "me"]


def test_the_brain_takes_fields_from_managers_but_manages_none() -> None:
    old = document({"spec": {"replicas": 1}, "status": {"replicas": 1}})
    new = document({"spec": {"replicas": 2}, "status": {"replicas": 2}})
    entries = tracked((), None, old, DEPLOYMENT, Manager("kubectl"), "now")
    (entry,) = tracked(entries, old, new, DEPLOYMENT, None, "now")
    assert entry["fieldsV1"] == {"f:status": {"f:replicas": {}}}
    assert tracked((), old, new, DEPLOYMENT, None, "now") == ()


# Strategic merge patches.


def containers(*items: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"containers": list(items)}}


@pytest.mark.parametrize(
    ("doc", "patch", "merged"),
    [
        (
            containers({"name": "a", "image": "x"}),
            containers({"name": "a", "env": [{"name": "E", "value": "1"}]}),
            containers({"name": "a", "image": "x", "env": [{"name": "E", "value": "1"}]}),
        ),
        (
            containers({"name": "a"}, {"name": "b"}),
            containers({"name": "a", "$patch": "delete"}),
            containers({"name": "b"}),
        ),
        (
            containers({"name": "a"}, {"name": "b"}),
            containers({"$patch": "replace"}, {"name": "c"}),
            containers({"name": "c"}),
        ),
        (
            {"spec": {"nodeSelector": {"a": "1", "b": "2"}}},
            {"spec": {"nodeSelector": {"$patch": "replace", "c": "3"}}},
            {"spec": {"nodeSelector": {"c": "3"}}},
        ),
        (
            containers({"name": "a"}, {"name": "b"}),
            {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}},
            containers({"name": "b"}, {"name": "a"}),
        ),
        (
            {"metadata": {"finalizers": ["a", "b"]}},
            {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}},
            {"metadata": {"finalizers": ["b", "c"]}},
        ),
        (
            {"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}},
            {"spec": {"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/"}}]}},
            {"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}},
        ),
        ({"spec": {"hostname": "h", "subdomain": "s"}}, {"spec": {"hostname": None}}, {"spec": {"subdomain": "s"}}),
        (
            containers({"name": "a", "args": ["1", "2"]}),
            containers({"name": "a", "args": ["3"]}),
            containers({"name": "a", "args": ["3"]}),
        ),
    ],
)
def test_a_strategic_patch_merges_lists_by_their_keys(doc: Any, patch: Any, merged: Any) -> None:
    assert strategic_merge(doc, patch, STRUCTURE) == merged


@given(PODS)
def test_an_object_is_a_strategic_patch_that_changes_nothing_in_itself(doc: dict[str, Any]) -> None:
    assert value(strategic_merge(doc, doc, STRUCTURE)) == value(doc)


def test_an_item_without_its_key_and_an_unknown_directive_are_refused() -> None:
    wrong_keys = [containers({"image": "x"}), containers({"name": {"a": "b"}}), containers({"name": ["a"]})]
    for patch in (*wrong_keys, {"spec": {"$patch": "explode"}}):
        with pytest.raises(ApiError) as caught:
            strategic_merge(containers({"name": "a"}), patch, STRUCTURE)
        assert caught.value.status == 400
