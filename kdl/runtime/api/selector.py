"""Label and field selectors as written in requests (``app=web,tier in (a, b),!canary``) → predicates on documents."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from kdl.runtime.api.errors import bad_request

Predicate = Callable[[Mapping[str, Any]], bool]

_KEY: Final = r"[A-Za-z0-9./_-]+"
_REQUIREMENT: Final = re.compile(
    rf"\s*(?:(?P<absent>!)\s*(?P<no>{_KEY})"
    rf"|(?P<set>{_KEY})\s+(?P<word>in|notin)\s*\((?P<values>[^()]*)\)"
    rf"|(?P<key>{_KEY})\s*(?P<operator>==?|!=)\s*(?P<value>[A-Za-z0-9._-]*)"
    rf"|(?P<present>{_KEY}))\s*(?:,|$)"
)
_FIELD: Final = re.compile(r"\s*([A-Za-z0-9./_-]+)\s*(==?|!=)\s*([^,=!]*?)\s*$")


def everything(_: Mapping[str, Any]) -> bool:
    """What an absent selector selects."""
    return True


def label_selector(text: str | None) -> Predicate:
    """Whether a document's labels satisfy all requirements; `ApiError` 400 for what is no selector."""
    tests: list[Predicate] = []
    at = 0
    text = (text or "").strip()
    while at < len(text):
        match = _REQUIREMENT.match(text, at)
        if match is None:
            raise bad_request(f"unable to parse requirement: `{text[at:]}` is not a label selector")
        tests.append(_requirement(match))
        at = match.end()
    if not tests:
        return everything

    def selects(doc: Mapping[str, Any]) -> bool:
        labels = (doc.get("metadata") or {}).get("labels") or {}
        return all(test(labels) for test in tests)

    return selects


def _requirement(match: re.Match[str]) -> Predicate:
    part = match.groupdict()
    if part["absent"]:
        return lambda labels: part["no"] not in labels
    if part["word"]:
        values = {item.strip() for item in part["values"].split(",")}
        wanted = part["word"] == "in"
        if wanted:
            return lambda labels: part["set"] in labels and labels[part["set"]] in values
        return lambda labels: labels.get(part["set"]) not in values
    if part["operator"] == "!=":
        return lambda labels: labels.get(part["key"]) != part["value"]
    if part["operator"]:
        return lambda labels: part["key"] in labels and labels[part["key"]] == part["value"]
    return lambda labels: part["present"] in labels


def field_selector(text: str | None) -> Predicate:
    """Whether the fields at dotted paths have the given values; a missing field is the empty string."""
    tests: list[tuple[list[str], bool, str]] = []
    for item in filter(str.strip, (text or "").split(",")):
        match = _FIELD.match(item)
        if match is None:
            raise bad_request(f"invalid field selector: `{item}` is not of the form field=value")
        path, operator, wanted = match.groups()
        tests.append((path.split("."), operator != "!=", wanted))
    if not tests:
        return everything

    def selects(doc: Mapping[str, Any]) -> bool:
        return all((_field(doc, path) == wanted) is equal for path, equal, wanted in tests)

    return selects


def _field(doc: Any, path: list[str]) -> str:
    for step in path:
        doc = doc.get(step) if isinstance(doc, Mapping) else None
    return "" if doc is None else str(doc)


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, Any]) -> bool:
    """Whether a LabelSelector object selects these labels; an absent one selects nothing, an empty one everything."""
    if selector is None:
        return False
    if any(labels.get(key) != item for key, item in (selector.get("matchLabels") or {}).items()):
        return False
    for one in selector.get("matchExpressions") or ():
        key, values = one.get("key"), one.get("values") or ()
        there = key in labels
        good = {
            "In": there and labels.get(key) in values,
            "NotIn": not there or labels.get(key) not in values,
            "Exists": there,
            "DoesNotExist": not there,
        }
        if not good.get(one.get("operator"), False):
            return False
    return True
