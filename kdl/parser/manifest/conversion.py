"""Older versions of kinds → the stored one, as Kubernetes converts them, with the defaults that were theirs alone.

Conversion comes before validation, so nothing here may rely on the shape of what it reads: whatever is not as expected
stays where it is, for validation to tell about. Each function changes a fresh copy in place and notes in `Moved` from
where a field came, so that an error still points into the text as it was written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import isfinite
from typing import Any, Final, TypeAlias

from kdl.parser.manifest.documents import MAX_DEPTH
from kdl.parser.manifest.kinds import Kind

Doc: TypeAlias = dict[str, Any]
Moved: TypeAlias = dict[str, str]
Conversion: TypeAlias = Callable[[Doc, str, Moved], None]

_NEVER: Final = 2**31 - 1
_TEXT_MAPS: Final = {"labels", "annotations", "matchLabels", "nodeSelector", "data", "stringData"}


class Unstorable(Exception):
    """A value that JSON cannot hold, or that nests too deep: a code and a message."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(message)


def fresh(value: Any, key: str = "", depth: int = 0) -> Any:
    """A copy without null members; a null in a map of texts is an empty text, as for Go. Raises `Unstorable`."""
    if type(value) is str:
        return _text(value)
    if isinstance(value, dict):
        if depth == MAX_DEPTH:
            raise Unstorable("KDL504", f"values nest more than {MAX_DEPTH} deep")
        if key in _TEXT_MAPS:
            return {
                _text(name): "" if member is None else fresh(member, "", depth + 1) for name, member in value.items()
            }
        return {_text(name): fresh(member, name, depth + 1) for name, member in value.items() if member is not None}
    if isinstance(value, (list, tuple)):
        if depth == MAX_DEPTH:
            raise Unstorable("KDL504", f"values nest more than {MAX_DEPTH} deep")
        return [fresh(item, "", depth + 1) for item in value]
    if value is None or isinstance(value, (int, str)) or (isinstance(value, float) and isfinite(value)):
        return value
    raise Unstorable("KDL512", f"`{value}` is no value of JSON")


def _text(value: Any) -> str:
    """The text, if it is one that can be written down: a lone half of a surrogate pair cannot."""
    if not isinstance(value, str):
        raise Unstorable("KDL512", f"`{value}` is no key: keys are text")
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Unstorable("KDL512", f"{value!a} has half a surrogate pair, which is no character") from None
    return value


def convert(doc: Doc, kind: Kind) -> Moved:
    """Rewrite an object, in place, to the version in which its kind is stored."""
    moved: Moved = {}
    written = doc["apiVersion"]
    if written != kind.api_version:
        if kind.name in _CONVERSIONS and kind.schema is None:
            _CONVERSIONS[kind.name](doc, written, moved)
        doc["apiVersion"] = kind.api_version
    return moved


def _at(value: Any, *keys: str) -> Doc:
    """The mapping under these keys, or an empty one that belongs to nobody."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _items(value: Doc, key: str) -> Iterator[tuple[int, Doc]]:
    listed = value.get(key)
    return ((i, item) for i, item in enumerate(listed if isinstance(listed, list) else ()) if isinstance(item, dict))


def _rename(value: Doc, old: str, new: str, at: str, moved: Moved) -> None:
    if old in value and new not in value:
        value[new] = value.pop(old)
        moved[f"{at}/{new}"] = f"{at}/{old}"


def _defaults(value: Doc, **fields: Any) -> None:
    for name, default in fields.items():
        value.setdefault(name, default)


def _selected_by_labels(doc: Doc, moved: Moved) -> None:
    """Selector and labels that old versions took from the template."""
    labels = _at(doc, "spec", "template", "metadata").get("labels")
    if not isinstance(labels, dict) or not labels or not isinstance(doc.get("spec"), dict):
        return
    if "selector" not in doc["spec"]:
        doc["spec"]["selector"] = {"matchLabels": dict(labels)}
        moved["/spec/selector/matchLabels"] = "/spec/template/metadata/labels"
        moved["/spec/selector"] = "/spec/template/metadata/labels"
    if isinstance(doc.get("metadata"), dict):
        doc["metadata"].setdefault("labels", dict(labels))


def _workload(doc: Doc, written: str, moved: Moved) -> None:
    spec, name = _at(doc, "spec"), doc["kind"]
    if written != "apps/v1beta2":
        _selected_by_labels(doc, moved)
    spec.pop("rollbackTo", None)
    spec.pop("templateGeneration", None)
    if name == "Deployment" and written == "extensions/v1beta1":
        _defaults(spec, revisionHistoryLimit=_NEVER, progressDeadlineSeconds=_NEVER, strategy={})
        strategy = _at(spec, "strategy")
        if strategy.get("type", "RollingUpdate") == "RollingUpdate":
            _defaults(strategy, rollingUpdate={})
            _defaults(_at(strategy, "rollingUpdate"), maxSurge=1, maxUnavailable=1)
    elif name == "Deployment" and written == "apps/v1beta1":
        _defaults(spec, revisionHistoryLimit=2)
    elif (name, written) in (("DaemonSet", "extensions/v1beta1"), ("StatefulSet", "apps/v1beta1")):
        _defaults(spec, updateStrategy={"type": "OnDelete"})


def _job(doc: Doc, written: str, moved: Moved) -> None:
    spec = _at(doc, "spec")
    if isinstance(spec.get("autoSelector"), bool):
        spec["manualSelector"] = not spec.pop("autoSelector")


def _ingress(doc: Doc, written: str, moved: Moved) -> None:
    spec = _at(doc, "spec")
    _rename(spec, "backend", "defaultBackend", "/spec", moved)
    _ingress_backend(_at(spec, "defaultBackend"), "/spec/defaultBackend", moved)
    for i, rule in _items(spec, "rules"):
        for j, path in _items(_at(rule, "http"), "paths"):
            _defaults(path, pathType="ImplementationSpecific")
            _ingress_backend(_at(path, "backend"), f"/spec/rules/{i}/http/paths/{j}/backend", moved)


def _ingress_backend(backend: Doc, at: str, moved: Moved) -> None:
    if "service" in backend or not ("serviceName" in backend or "servicePort" in backend):
        return
    service: Doc = {}
    moved[f"{at}/service"] = at
    if "serviceName" in backend:
        service["name"] = backend.pop("serviceName")
        moved[f"{at}/service/name"] = f"{at}/serviceName"
    if "servicePort" in backend:
        port = backend.pop("servicePort")
        service["port"] = {"number" if isinstance(port, int) else "name": port}
        moved[f"{at}/service/port"] = f"{at}/servicePort"
    backend["service"] = service


def _disruption_budget(doc: Doc, written: str, moved: Moved) -> None:
    """An empty selector selected nothing in v1beta1; in v1 it selects everything."""
    spec = _at(doc, "spec")
    if spec.get("selector") == {}:
        never = {"key": "pdb.kubernetes.io/deprecated-v1beta1-empty-selector-match", "operator": "Exists"}
        spec["selector"] = {"matchExpressions": [never]}


def _autoscaler(doc: Doc, written: str, moved: Moved) -> None:
    spec = _at(doc, "spec")
    if "scaleRef" in spec:
        _rename(spec, "scaleRef", "scaleTargetRef", "/spec", moved)
        _at(spec, "scaleTargetRef").pop("subresource", None)
    percent, source = spec.pop("targetCPUUtilizationPercentage", None), "/spec/targetCPUUtilizationPercentage"
    if "cpuUtilization" in spec:
        percent, source = _at(spec, "cpuUtilization").get("targetPercentage"), "/spec/cpuUtilization/targetPercentage"
        del spec["cpuUtilization"]
    if percent is not None:
        target = {"type": "Utilization", "averageUtilization": percent}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
        moved["/spec/metrics"] = source
    if written == "autoscaling/v2beta1":
        for i, metric in _items(spec, "metrics"):
            for name, inner in metric.items():
                if isinstance(inner, dict):
                    _metric(name, inner, f"/spec/metrics/{i}/{name}", moved)


_TARGETS: Final = {
    "targetAverageUtilization": ("Utilization", "averageUtilization"),
    "targetAverageValue": ("AverageValue", "averageValue"),
    "averageValue": ("AverageValue", "averageValue"),
    "targetValue": ("Value", "value"),
}


def _metric(name: str, metric: Doc, at: str, moved: Moved) -> None:
    """A metric of v2beta1, where targets were flat fields."""
    if name == "object":
        _rename(metric, "target", "describedObject", at, moved)
    if "metricName" in metric:
        metric["metric"] = {"name": metric.pop("metricName")}
        moved[f"{at}/metric"] = f"{at}/metricName"
        for selector in ("selector", "metricSelector"):
            if selector in metric:
                metric["metric"]["selector"] = metric.pop(selector)
    for old, (type_, new) in _TARGETS.items():
        if old in metric and "target" not in metric:
            metric["target"] = {"type": type_, new: metric.pop(old)}
            moved[f"{at}/target"] = f"{at}/{old}"


def _resource_definition(doc: Doc, written: str, moved: Moved) -> None:
    """What v1beta1 said once for all versions, v1 says for each of them."""
    spec = _at(doc, "spec")
    if "version" in spec and "versions" not in spec:
        spec["versions"] = [{"name": spec["version"], "served": True, "storage": True}]
        moved["/spec/versions"] = "/spec/version"
    spec.pop("version", None)
    _defaults(spec, scope="Namespaced")
    preserve = spec.pop("preserveUnknownFields", True)
    shared = {
        "schema": spec.pop("validation", None),
        "subresources": spec.pop("subresources", None),
        "additionalPrinterColumns": spec.pop("additionalPrinterColumns", None),
    }
    for _, version in _items(spec, "versions"):
        for name, value in shared.items():
            if value is not None:
                version.setdefault(name, fresh(value))
        version.setdefault("schema", {"openAPIV3Schema": {"type": "object"}})
        schema = _at(version, "schema", "openAPIV3Schema")
        if schema:
            schema.setdefault("type", "object")
            if preserve is not False:
                schema.setdefault("x-kubernetes-preserve-unknown-fields", True)
        for _, column in _items(version, "additionalPrinterColumns"):
            _rename(column, "JSONPath", "jsonPath", "", {})
    conversion = _at(spec, "conversion")
    webhook = {new: conversion.pop(old) for old, new in _WEBHOOK_FIELDS.items() if old in conversion}
    if webhook:
        conversion["webhook"] = webhook


_WEBHOOK_FIELDS: Final = {
    "webhookClientConfig": "clientConfig",
    "conversionReviewVersions": "conversionReviewVersions",
}


def _webhooks(doc: Doc, written: str, moved: Moved) -> None:
    for _, webhook in _items(doc, "webhooks"):
        _defaults(webhook, failurePolicy="Ignore", matchPolicy="Exact", timeoutSeconds=30)
        _defaults(webhook, sideEffects="None", admissionReviewVersions=["v1beta1"])


def _binding(doc: Doc, written: str, moved: Moved) -> None:
    """Subjects of v1alpha1 named an apiVersion."""
    for _, subject in _items(doc, "subjects"):
        subject.pop("apiVersion", None)


_EVENT: Final = {
    "message": "note",
    "involvedObject": "regarding",
    "reportingComponent": "reportingController",
    "source": "deprecatedSource",
    "count": "deprecatedCount",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
}
"""The fields of an event and what ``events.k8s.io/v1`` calls them."""


def _event(doc: Doc, written: str, moved: Moved) -> None:
    for stored, new in _EVENT.items():
        _rename(doc, new, stored, "", moved)


_CONVERSIONS: Final[dict[str, Conversion]] = {
    **dict.fromkeys(("Deployment", "ReplicaSet", "DaemonSet", "StatefulSet"), _workload),
    "Job": _job,
    "Ingress": _ingress,
    "PodDisruptionBudget": _disruption_budget,
    "HorizontalPodAutoscaler": _autoscaler,
    "CustomResourceDefinition": _resource_definition,
    "MutatingWebhookConfiguration": _webhooks,
    "ValidatingWebhookConfiguration": _webhooks,
    "Event": _event,
    "RoleBinding": _binding,
    "ClusterRoleBinding": _binding,
}
"""Kinds whose older versions differ from the stored one by more than their `apiVersion`."""


def restored(doc: Doc, kind: Kind, api_version: str) -> Doc:
    """A stored object as clients of another version see it.

    Versions of a custom kind differ in name only. Of the built-in kinds, events are written back; others are shown in
    the version in which they are stored, whatever was asked for.
    """
    if kind.schema is not None:
        return {**doc, "apiVersion": api_version}
    if kind.name == "Event" and api_version == "events.k8s.io/v1":
        return {**{_EVENT.get(name, name): item for name, item in doc.items()}, "apiVersion": api_version}
    return doc
