"""One parsed object → the object as it is stored: converted, checked, defaulted. The only way in for objects.

Pure: it reads no clock and no other object. What needs more than the object itself (uniqueness, references, policy) is
decided by rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kdl.parser.diagnostic import ManifestError
from kdl.parser.manifest import formats, schema, structural
from kdl.parser.manifest.conversion import Moved, Unstorable, convert, fresh
from kdl.parser.manifest.defaults import set_defaults
from kdl.parser.manifest.kinds import BUILT_IN, Kind, Kinds, split_api_version
from kdl.parser.manifest.problem import Report, did_you_mean

_PATH_NAMES = {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"}


def accept(doc: Any, *, namespace: str = "default", known: Kinds | Iterable[Kind] = ()) -> dict[str, Any]:
    """The object in its stored version with all defaults; a namespaced kind without a namespace gets this one.

    `known` are kinds beyond the built-in ones, or all that there are. The argument is left as it is. Raises
    `ManifestError`, whose diagnostics carry field paths instead of places.
    """
    report = Report()
    kinds = known if isinstance(known, Kinds) else BUILT_IN.with_known(known)
    accepted, _ = understand(doc, report, namespace=namespace, kinds=kinds)
    if report.problems:
        raise ManifestError(problem.diagnostic(doc) for problem in report.problems)
    assert accepted is not None
    return accepted


def understand(doc: Any, report: Report, *, namespace: str, kinds: Kinds) -> tuple[dict[str, Any] | None, Moved]:
    """The stored form of an object and where conversion moved its fields; None if problems were reported."""
    if not isinstance(doc, dict):
        report("KDL505", (), "this is not an object: a manifest is a mapping with `apiVersion`, `kind` and `metadata`")
        return None, {}
    try:
        result: dict[str, Any] = fresh(doc)
    except Unstorable as error:
        report(error.code, (), error.message)
        return None, {}
    kind = kind_of(result, report, kinds)
    if kind is None:
        return None, {}
    moved = convert(result, kind)
    metadata = result.setdefault("metadata", {})
    before = len(report.problems)
    schema.check(result, kind, report)
    if isinstance(metadata, dict) and not any(p.path[:1] == ("metadata",) for p in report.problems[before:]):
        _check_metadata(metadata, kind, report)
    if len(report.problems) > before:
        return None, moved
    if kind.namespaced:
        metadata.setdefault("namespace", namespace)
    if kind.schema is None:
        set_defaults(result)
    else:
        structural.set_defaults(result, kind.schema)
        structural.check(result, kind.schema, report)
    return (result if len(report.problems) == before else None), moved


def kind_of(doc: Mapping[str, Any], report: Report, kinds: Kinds) -> Kind | None:
    """The stored kind of a document, or None with one problem reported."""
    api_version, name = doc.get("apiVersion"), doc.get("kind")
    for key, value in (("kind", name), ("apiVersion", api_version)):
        if value is None or value == "":
            report("KDL505", (), f"the field `{key}` is missing", _missing_help(key, name, kinds))
            return None
        if not isinstance(value, str):
            report("KDL505", (key,), f"`{key}` must be a string")
            return None
    assert isinstance(api_version, str)
    assert isinstance(name, str)
    kind = kinds.stored(api_version, name)
    if kind is not None:
        return kind
    versions = kinds.versions(name)
    group, _ = split_api_version(api_version)
    if versions:
        message = f"there is no `{name}` in `{api_version}`"
        report("KDL506", ("apiVersion",), message, f"write `apiVersion: {versions[0]}`")
    elif help := did_you_mean(name, kinds.names()):
        report("KDL506", ("kind",), f"unknown kind `{name}`", help)
    elif group and not any(kind.group == group for kind in kinds):
        message = f"unknown kind `{name}` of the group `{group}`"
        report("KDL506", ("kind",), message, "a kind of your own needs its CustomResourceDefinition first")
    else:
        report("KDL506", ("kind",), f"unknown kind `{name}`", f"`{api_version}` has no kind of this or a similar name")
    return None


def _missing_help(key: str, name: Any, kinds: Kinds) -> str:
    if key == "apiVersion" and isinstance(name, str):
        if versions := kinds.versions(name):
            return f"add `apiVersion: {versions[0]}`"
        return did_you_mean(name, kinds.names()) and f"the kind: {did_you_mean(name, kinds.names())}"
    return "every object says its `apiVersion` and `kind`"


def _check_metadata(metadata: dict[str, Any], kind: Kind, report: Report) -> None:
    name = metadata.get("name")
    if not name:
        if not metadata.get("generateName") and "create" in kind.verbs and len(kind.verbs) > 1:
            report("KDL511", ("metadata",), "the field `name` is missing in `metadata`", "add `name:`", at_key=True)
    else:
        complaint = _name_rule(kind)(name)
        if complaint:
            code, message, help = complaint
            report(code, ("metadata", "name"), f"`metadata.name` {message}", help)
    if not kind.namespaced and metadata.get("namespace"):
        message = f"`metadata.namespace` is set, but a {kind.name} belongs to no namespace"
        report("KDL523", ("metadata", "namespace"), message, "remove it", at_key=True)


def _name_rule(kind: Kind) -> formats.Scalar:
    if kind.name in _PATH_NAMES and kind.group.startswith("rbac."):
        return formats.path_segment
    if kind.group == "" and kind.name == "Service":
        return formats.service_name
    if kind.group == "" and kind.name == "Namespace":
        return formats.label_name
    return formats.subdomain
