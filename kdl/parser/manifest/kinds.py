"""The kinds of objects as data: their one stored version, their names as kubectl knows them, and the older versions.

The source is Kubernetes' own discovery (`kubectl api-resources`). A kind is stored in one version only; the other
versions in which a manifest may be written are in `_OLDER`, and `conversion` rewrites them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

_ALL_VERBS: Final = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_REVIEW: Final = ("create",)


class PrinterColumn(NamedTuple):
    """A column of a custom kind: its title, type, the JSON path of its value, and whether only wide tables have it."""

    title: str
    type: str
    path: str
    wide: bool


class Scaled(NamedTuple):
    """JSON paths of a custom kind: replicas wanted, replicas there, and the selector of what they are, if any."""

    spec: str
    status: str
    selector: str


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object in its stored version; `subresources` are path elements under the object's own."""

    group: str
    version: str
    name: str
    plural: str
    singular: str
    short_names: tuple[str, ...] = ()
    namespaced: bool = True
    subresources: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = _ALL_VERBS
    served: tuple[str, ...] = ()
    """Other versions of a custom kind in which objects may be written; they differ in `apiVersion` only."""
    schema: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)
    """The OpenAPI schema that a custom kind brings along; built-in kinds have theirs in `schema`."""
    columns: tuple[PrinterColumn, ...] = field(default=(), compare=False, repr=False)
    """The columns in which objects of a custom kind are shown beside their name."""
    scale: Scaled | None = field(default=None, compare=False, repr=False)
    """Where objects of a custom kind say how many of something they want and have."""

    @property
    def api_version(self) -> str:
        """What `apiVersion` says in a document of this kind."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """The plural qualified by the group, as in ``deployments.apps``; the core group has no suffix."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def __str__(self) -> str:
        return f"{self.api_version} {self.name}"


def split_api_version(api_version: str) -> tuple[str, str]:
    """Group and version of an `apiVersion`; the core group is the empty string."""
    group, _, version = api_version.rpartition("/")
    return group, version


class Kinds:
    """A set of kinds with the ways of finding one; a later kind never hides an earlier one."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._by_gvk: dict[tuple[str, str, str], Kind] = {}
        self._by_name: dict[str, Kind] = {}
        self._by_word: dict[str, Kind] = {}
        self._by_served: dict[tuple[str, str], list[Kind]] = {}
        for kind in kinds:
            if kind.served:
                self._by_served.setdefault((kind.group, kind.name), []).append(kind)
            self._by_gvk.setdefault((kind.group, kind.version, kind.name), kind)
            self._by_name.setdefault(kind.name, kind)
            for word in (kind.plural, kind.singular, kind.name.lower(), *kind.short_names):
                self._by_word.setdefault(word, kind)
                if kind.group:
                    self._by_word.setdefault(f"{word}.{kind.group}", kind)
                    self._by_word.setdefault(f"{word}.{kind.version}.{kind.group}", kind)

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._by_gvk.values())

    def __len__(self) -> int:
        return len(self._by_gvk)

    def with_known(self, known: Iterable[Kind]) -> Kinds:
        """These kinds and others, such as those that custom resource definitions name."""
        known = tuple(known)
        return Kinds((*self, *known)) if known else self

    def find(self, group: str, version: str, name: str) -> Kind | None:
        """The kind stored under exactly this group, version and name."""
        return self._by_gvk.get((group, version, name))

    def named(self, name: str) -> Kind | None:
        """The kind of this bare name, as in ``Deployment``."""
        return self._by_name.get(name)

    def lookup(self, word: str) -> Kind | None:
        """The kind that a word on a command line means: plural, singular or short name, also qualified by its group."""
        return self._by_word.get(word.lower())

    def stored(self, api_version: str, name: str) -> Kind | None:
        """The kind in which an object written as this `apiVersion` and `kind` is stored, or None if nobody knows it."""
        group, version = split_api_version(api_version)
        exact = self.find(group, version, name)
        if exact is not None:
            return exact
        target = _OLDER.get(api_version, {}).get(name)
        if target is not None:
            return self.find(*split_api_version(target), name)
        return next((k for k in self._by_served.get((group, name), ()) if version in k.served), None)

    def versions(self, name: str) -> tuple[str, ...]:
        """Every `apiVersion` in which this kind may be written, the stored ones first."""
        stored = [kind.api_version for kind in self if kind.name == name]
        return (*stored, *(older for older, kinds in _OLDER.items() if name in kinds))

    def older(self, kind: Kind) -> tuple[str, ...]:
        """The other `apiVersion`s in which objects of a kind may be written and read."""
        custom = (f"{kind.group}/{version}" for version in kind.served)
        return (*custom, *(older for older, kinds in _OLDER.items() if kinds.get(kind.name) == kind.api_version))

    def names(self) -> tuple[str, ...]:
        """The bare names of all kinds."""
        return tuple(self._by_name)


def _group(api_version: str, *rows: tuple[Any, ...], **common: Any) -> list[Kind]:
    """Kinds of one API group from rows of (name, plural, short names, subresources, categories)."""
    group, version = split_api_version(api_version)
    return [
        Kind(
            group,
            version,
            name,
            plural,
            name.lower(),
            tuple(short.split()),
            subresources=tuple(subresources.split()),
            categories=tuple(categories.split()),
            **common,
        )
        for name, plural, short, subresources, categories in rows
    ]


_USAGE: Final = {
    "timestamp": {"type": "string", "format": "date-time", "description": "When the window ended."},
    "window": {"type": "string", "description": "How long the window was, such as 15.03s."},
}
_AMOUNTS: Final = {
    "type": "object",
    "additionalProperties": {"type": "string"},
    "description": "What was used: of `cpu` cores, on average over the window; of `memory` bytes, at its end.",
}


def _usage(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": _USAGE | properties, "required": ["timestamp", "window", *properties]}


_CONTAINER_USAGE: Final = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "usage": _AMOUNTS},
    "required": ["name", "usage"],
}
"""The schemas of ``metrics.k8s.io``, which Kubernetes' own do not hold; after the API's documentation."""


KINDS: Final[tuple[Kind, ...]] = (
    *_group(
        "v1",
        ("Pod", "pods", "po", "status log exec attach portforward proxy binding eviction ephemeralcontainers", "all"),
        ("Service", "services", "svc", "status proxy", "all"),
        ("Endpoints", "endpoints", "ep", "", ""),
        ("ConfigMap", "configmaps", "cm", "", ""),
        ("Secret", "secrets", "", "", ""),
        ("ServiceAccount", "serviceaccounts", "sa", "token", ""),
        ("ReplicationController", "replicationcontrollers", "rc", "status scale", "all"),
        ("PersistentVolumeClaim", "persistentvolumeclaims", "pvc", "status", ""),
        ("Event", "events", "ev", "", ""),
        ("LimitRange", "limitranges", "limits", "", ""),
        ("ResourceQuota", "resourcequotas", "quota", "status", ""),
        ("PodTemplate", "podtemplates", "", "", ""),
    ),
    *_group("v1", ("Binding", "bindings", "", "", ""), verbs=_REVIEW),
    *_group(
        "v1",
        ("Namespace", "namespaces", "ns", "status finalize", ""),
        ("Node", "nodes", "no", "status", ""),
        ("PersistentVolume", "persistentvolumes", "pv", "status", ""),
        namespaced=False,
    ),
    *_group("v1", ("ComponentStatus", "componentstatuses", "cs", "", ""), namespaced=False, verbs=("get", "list")),
    *_group(
        "apps/v1",
        ("Deployment", "deployments", "deploy", "status scale", "all"),
        ("ReplicaSet", "replicasets", "rs", "status scale", "all"),
        ("DaemonSet", "daemonsets", "ds", "status", "all"),
        ("StatefulSet", "statefulsets", "sts", "status scale", "all"),
        ("ControllerRevision", "controllerrevisions", "", "", ""),
    ),
    *_group(
        "batch/v1",
        ("Job", "jobs", "", "status", "all"),
        ("CronJob", "cronjobs", "cj", "status", "all"),
    ),
    *_group("autoscaling/v2", ("HorizontalPodAutoscaler", "horizontalpodautoscalers", "hpa", "status", "all")),
    *_group("policy/v1", ("PodDisruptionBudget", "poddisruptionbudgets", "pdb", "status", "")),
    *_group("policy/v1beta1", ("PodSecurityPolicy", "podsecuritypolicies", "psp", "", ""), namespaced=False),
    *_group(
        "networking.k8s.io/v1",
        ("Ingress", "ingresses", "ing", "status", ""),
        ("NetworkPolicy", "networkpolicies", "netpol", "", ""),
    ),
    *_group("networking.k8s.io/v1", ("IngressClass", "ingressclasses", "", "", ""), namespaced=False),
    *_group("discovery.k8s.io/v1", ("EndpointSlice", "endpointslices", "", "", "")),
    *_group("coordination.k8s.io/v1", ("Lease", "leases", "", "", "")),
    *_group(
        "rbac.authorization.k8s.io/v1",
        ("Role", "roles", "", "", ""),
        ("RoleBinding", "rolebindings", "", "", ""),
    ),
    *_group(
        "rbac.authorization.k8s.io/v1",
        ("ClusterRole", "clusterroles", "", "", ""),
        ("ClusterRoleBinding", "clusterrolebindings", "", "", ""),
        namespaced=False,
    ),
    *_group("storage.k8s.io/v1", ("StorageClass", "storageclasses", "sc", "", ""), namespaced=False),
    *_group("scheduling.k8s.io/v1", ("PriorityClass", "priorityclasses", "pc", "", ""), namespaced=False),
    *_group("node.k8s.io/v1", ("RuntimeClass", "runtimeclasses", "", "", ""), namespaced=False),
    *_group(
        "apiextensions.k8s.io/v1",
        ("CustomResourceDefinition", "customresourcedefinitions", "crd crds", "status", "api-extensions"),
        namespaced=False,
    ),
    *_group(
        "apiregistration.k8s.io/v1",
        ("APIService", "apiservices", "", "status", "api-extensions"),
        namespaced=False,
    ),
    *_group(
        "admissionregistration.k8s.io/v1",
        ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations", "", "", "api-extensions"),
        ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations", "", "", "api-extensions"),
        namespaced=False,
    ),
    *_group(
        "authorization.k8s.io/v1",
        ("SelfSubjectAccessReview", "selfsubjectaccessreviews", "", "", ""),
        ("SelfSubjectRulesReview", "selfsubjectrulesreviews", "", "", ""),
        ("SubjectAccessReview", "subjectaccessreviews", "", "", ""),
        namespaced=False,
        verbs=_REVIEW,
    ),
    *_group(
        "authorization.k8s.io/v1",
        ("LocalSubjectAccessReview", "localsubjectaccessreviews", "", "", ""),
        verbs=_REVIEW,
    ),
    *_group(
        "authentication.k8s.io/v1",
        ("SelfSubjectReview", "selfsubjectreviews", "", "", ""),
        ("TokenReview", "tokenreviews", "", "", ""),
        namespaced=False,
        verbs=_REVIEW,
    ),
    *_group(
        "metrics.k8s.io/v1beta1",
        ("NodeMetrics", "nodes", "", "", ""),
        namespaced=False,
        verbs=("get", "list"),
        schema=_usage(usage=_AMOUNTS),
        columns=(
            PrinterColumn("CPU", "string", ".usage.cpu", False),
            PrinterColumn("MEMORY", "string", ".usage.memory", False),
            PrinterColumn("WINDOW", "string", ".window", False),
        ),
    ),
    *_group(
        "metrics.k8s.io/v1beta1",
        ("PodMetrics", "pods", "", "", ""),
        verbs=("get", "list"),
        schema=_usage(containers={"type": "array", "items": _CONTAINER_USAGE}),
        columns=(PrinterColumn("WINDOW", "string", ".window", False),),
    ),
)
"""Every kind that is built in, in its stored version."""


def _same(target: str, names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), target)


_RBAC: Final = _same("rbac.authorization.k8s.io/v1", "Role RoleBinding ClusterRole ClusterRoleBinding")
_WEBHOOKS: Final = "MutatingWebhookConfiguration ValidatingWebhookConfiguration"
_OLDER: Final[dict[str, dict[str, str]]] = {
    "extensions/v1beta1": {
        **_same("apps/v1", "Deployment ReplicaSet DaemonSet"),
        **_same("networking.k8s.io/v1", "Ingress NetworkPolicy"),
        **_same("policy/v1beta1", "PodSecurityPolicy"),
        **_same("batch/v1", "Job"),
        **_same("autoscaling/v2", "HorizontalPodAutoscaler"),
    },
    "apps/v1beta1": _same("apps/v1", "Deployment StatefulSet ControllerRevision"),
    "apps/v1beta2": _same("apps/v1", "Deployment ReplicaSet DaemonSet StatefulSet ControllerRevision"),
    "batch/v2alpha1": _same("batch/v1", "CronJob"),
    "batch/v1beta1": _same("batch/v1", "CronJob"),
    "autoscaling/v1": _same("autoscaling/v2", "HorizontalPodAutoscaler"),
    "autoscaling/v2beta1": _same("autoscaling/v2", "HorizontalPodAutoscaler"),
    "autoscaling/v2beta2": _same("autoscaling/v2", "HorizontalPodAutoscaler"),
    "policy/v1beta1": _same("policy/v1", "PodDisruptionBudget"),
    "networking.k8s.io/v1beta1": _same("networking.k8s.io/v1", "Ingress IngressClass"),
    "events.k8s.io/v1": _same("v1", "Event"),
    "events.k8s.io/v1beta1": _same("v1", "Event"),
    "discovery.k8s.io/v1beta1": _same("discovery.k8s.io/v1", "EndpointSlice"),
    "coordination.k8s.io/v1beta1": _same("coordination.k8s.io/v1", "Lease"),
    "rbac.authorization.k8s.io/v1alpha1": _RBAC,
    "rbac.authorization.k8s.io/v1beta1": _RBAC,
    "storage.k8s.io/v1beta1": _same("storage.k8s.io/v1", "StorageClass"),
    "scheduling.k8s.io/v1alpha1": _same("scheduling.k8s.io/v1", "PriorityClass"),
    "scheduling.k8s.io/v1beta1": _same("scheduling.k8s.io/v1", "PriorityClass"),
    "apiextensions.k8s.io/v1beta1": _same("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    "apiregistration.k8s.io/v1beta1": _same("apiregistration.k8s.io/v1", "APIService"),
    "admissionregistration.k8s.io/v1beta1": _same("admissionregistration.k8s.io/v1", _WEBHOOKS),
}
"""Older `apiVersion` → kind → the `apiVersion` that it is stored in."""

BUILT_IN: Final = Kinds(KINDS)

find = BUILT_IN.find
named = BUILT_IN.named
lookup = BUILT_IN.lookup
stored = BUILT_IN.stored


def identity(doc: Mapping[str, Any]) -> tuple[str, str, str]:
    """Group, kind and id of an object: the id is ``namespace/name``, or ``name`` without a namespace."""
    metadata = doc["metadata"]
    group, _ = split_api_version(doc["apiVersion"])
    namespace = metadata.get("namespace")
    return group, doc["kind"], f"{namespace}/{metadata['name']}" if namespace else metadata["name"]
