"""Role-based access control as its documentation tells it, without rules or indexes: the second opinion of tests.

It reads roles and bindings as documents, asks each in turn, and names the first that grants.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

Doc = Mapping[str, Any]


class Asked(NamedTuple):
    """A request: `resource` without its subresource."""

    user: str
    groups: Sequence[str]
    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str


class Grant(NamedTuple):
    """What grants a request."""

    binding_kind: str
    binding: str
    role_kind: str
    role: str


class Checker:
    """Answers from a list of roles and bindings."""

    def __init__(self, docs: Sequence[Doc]) -> None:
        self._docs = docs

    def grants(self, asked: Asked) -> Iterator[Grant]:
        """Every binding that grants the request, with the role that it binds."""
        for binding in self._docs:
            kind, metadata = binding["kind"], binding["metadata"]
            if not kind.endswith("Binding"):
                continue
            if kind == "RoleBinding" and (not asked.namespace or metadata["namespace"] != asked.namespace):
                continue
            if not any(self._is(subject, metadata.get("namespace", ""), asked) for subject in binding["subjects"]):
                continue
            reference = binding["roleRef"]
            role = self._role(reference["kind"], reference["name"], metadata.get("namespace", ""))
            if role is not None and any(self._allows(rule, asked) for rule in self._rules(role)):
                name = metadata["name"]
                full = f"{name}/{metadata['namespace']}" if kind == "RoleBinding" else name
                yield Grant(kind, full, reference["kind"], reference["name"])

    @staticmethod
    def _is(subject: Doc, namespace: str, asked: Asked) -> bool:
        if subject["kind"] == "User":
            return bool(subject["name"] == asked.user)
        if subject["kind"] == "Group":
            return subject["name"] in asked.groups
        home = subject.get("namespace") or namespace
        return bool(home) and asked.user == f"system:serviceaccount:{home}:{subject['name']}"

    def _role(self, kind: str, name: str, namespace: str) -> Doc | None:
        for doc in self._docs:
            here = kind == "ClusterRole" or doc["metadata"].get("namespace") == namespace
            if doc["kind"] == kind and doc["metadata"]["name"] == name and here:
                return doc
        return None

    def _rules(self, role: Doc) -> list[Doc]:
        found, waiting, seen = [], [role], set()
        while waiting:
            part = waiting.pop()
            if "aggregationRule" not in part:
                found += list(part.get("rules") or ())
                continue
            for selector in part["aggregationRule"]["clusterRoleSelectors"]:
                for other in self._labelled(selector["matchLabels"]):
                    if other["metadata"]["name"] not in seen:
                        seen.add(other["metadata"]["name"])
                        waiting.append(other)
        return found

    def _labelled(self, wanted: Mapping[str, str]) -> Iterator[Doc]:
        for doc in self._docs:
            if doc["kind"] == "ClusterRole" and wanted.items() <= doc["metadata"].get("labels", {}).items():
                yield doc

    @staticmethod
    def _allows(rule: Doc, asked: Asked) -> bool:
        whole = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
        resources = {"*", whole} | ({f"*/{asked.subresource}"} if asked.subresource else set())
        return (
            bool({"*", asked.verb} & set(rule["verbs"]))
            and bool({"*", asked.group} & set(rule.get("apiGroups", ())))
            and bool(resources & set(rule.get("resources", ())))
            and (not rule.get("resourceNames") or asked.name in rule["resourceNames"])
        )
