"""YAML is read as Kubernetes reads it, and every field has its line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdl.parser.manifest.documents import Unreadable, documents, plain
from kdl.parser.manifest.origin import Origin


def values(text: str) -> list[Any]:
    return [written.value for written in documents(text, "f.yaml")]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True), ("Off", False), ("~", None), ("", None), ("y", "y"), ("0644", 420), ("0o644", 420), ("0x1F", 31),
        ("1e3", 1000), ("1.0", 1), ("1.5", 1.5), ("1_000", 1000), ("09", 9), ("-5", -5), ("+3", 3), ("1:30", "1:30"),
        ("2026-01-31", "2026-01-31"), ("-", "-"), (".", "."), ("1.36.0", "1.36.0"), ("nullable", "nullable"),
    ],
)  # fmt: skip
def test_plain_scalars_are_read_as_by_kubernetes(text: str, value: object) -> None:
    assert plain(text) == value
    assert type(plain(text)) is type(value)


def test_documents_are_split_and_empty_ones_skipped() -> None:
    assert values("a: 1\n---\n---\n# nothing\n---\nb: 2\n...\n") == [{"a": 1}, {"b": 2}]


def test_anchors_and_merge_keys_are_copies() -> None:
    (value,) = values("a: &a {x: 1, y: [2]}\nb: {<<: *a, x: 3}\nc: *a\n")
    assert value == {"a": {"x": 1, "y": [2]}, "b": {"x": 3, "y": [2]}, "c": {"x": 1, "y": [2]}}
    value["c"]["y"].append(3)
    assert value["a"]["y"] == [2]
    assert value["b"]["y"] == [2]


def test_keys_become_text() -> None:
    assert values("1: a\ntrue: b\n") == [{"1": "a", "true": "b"}]


def test_json_documents_may_follow_each_other() -> None:
    text = '{"a": "\\ud83d\\ude00",\n "b": 1.0}\n{"c": 2}'
    first, second = documents(text, "f.json")
    assert first.value == {"a": "😀", "b": 1}
    assert type(first.value["b"]) is int
    assert (second.value, second.line) == ({"c": 2}, 3)


@pytest.mark.parametrize(
    "text", ["[" * 5000, '{"a":' * 5000, "- " * 5000, "a: &a [*a]", "a: !!python/none x", "? [a]\n"]
)
def test_hostile_text_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        values(text)


def test_lines_are_those_of_the_file_also_in_later_documents() -> None:
    text = "a: 1\n---\n# ü\nspec:\n  list:\n  - name: x\n    app.kubernetes.io/name: y\n"
    second = list(documents(text, "f.yaml"))[1]
    origin = Origin("f.yaml", text[second.start : second.end], second.line)
    assert origin.lines["/spec"] == 4
    assert origin.lines["/spec/list/0/name"] == 6
    assert origin.lines["/spec/list/0/app.kubernetes.io~1name"] == 7
    assert origin.line("/spec/list/0/absent/field") == 6
    assert str(origin.span("/spec/list/0/name")) == "f.yaml:6:11"


def test_moved_fields_are_found_where_they_were_written() -> None:
    origin = Origin("f.yaml", "a:\n  old: 1\n")
    origin.moved = {"/a/new": "/a/old"}
    assert origin.line("/a/new/inner") == 2


@given(st.recursive(
    st.none() | st.booleans() | st.integers(-2**53, 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=20,
))  # fmt: skip
def test_json_reads_back_what_was_written(value: Any) -> None:
    assert values(json.dumps([value])) == [[value]]


@given(st.text(alphabet="ab:-[]{}&*!|>'\"#%@` \n\t,?<0~", max_size=40))
def test_any_text_is_read_or_refused_with_a_diagnostic(text: str) -> None:
    told = "read"
    try:
        values(text)
    except Unreadable as error:
        told = error.diagnostic.render({"f.yaml": text})
    assert told
