"""What the API does with objects of a kind beyond what it does with all: a table, after Kubernetes' own strategies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kdl.fact import Document
from kdl.runtime.api.documents import at, dotted, without
from kdl.runtime.api.patch import find


@dataclass(frozen=True, slots=True)
class Strategy:
    """Paths are JSON pointers."""

    initial: Mapping[str, Any] = field(default_factory=dict)
    """Fields that every new object has, whatever its author wrote."""

    keeps_status: bool = False
    """A new object's status is its author's, as with nodes; else it starts empty."""

    graceful: bool = False
    """Deletion waits: for the agent of the node, while the object is on one."""

    held_by: tuple[str, ...] = ("/metadata/finalizers",)
    """Lists that keep a deleted object until they are empty."""

    deleting: Mapping[str, Any] = field(default_factory=dict)
    """Fields that are set when deletion begins."""

    immutable: tuple[str, ...] = ()
    """Fields that an update cannot change."""

    mutable: tuple[str, ...] | None = None
    """If given, the only fields of the spec that an update can change; ``*`` is every item of a list."""

    carried: tuple[str, ...] = ()
    """Fields that stay when an update leaves them out: the system allocated them."""

    typed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Fields that objects of some ``/spec/type`` have only; an update to another type that leaves them as they were
    means to be without them, and those that the system allocated are not carried into it."""


_SELECTOR: Final = Strategy(immutable=("/spec/selector",))
_DEFAULT: Final = Strategy()
_WITH_ADDRESS: Final = ("ClusterIP", "NodePort", "LoadBalancer")
_WITH_NODE_PORT: Final = ("NodePort", "LoadBalancer")

_STRATEGIES: Final[Mapping[tuple[str, str], Strategy]] = {
    ("", "Pod"): Strategy(
        initial={"/status/phase": "Pending"},
        graceful=True,
        mutable=(
            "/spec/containers/*/image",
            "/spec/initContainers/*/image",
            "/spec/activeDeadlineSeconds",
            "/spec/terminationGracePeriodSeconds",
            "/spec/tolerations",
        ),
    ),
    ("", "Namespace"): Strategy(
        initial={"/spec/finalizers": ["kubernetes"], "/status/phase": "Active"},
        held_by=("/metadata/finalizers", "/spec/finalizers"),
        deleting={"/status/phase": "Terminating"},
        carried=("/spec/finalizers",),
    ),
    ("", "Node"): Strategy(keeps_status=True),
    ("", "Service"): Strategy(
        carried=("/spec/clusterIP", "/spec/clusterIPs", "/spec/healthCheckNodePort"),
        typed={
            "/spec/clusterIP": _WITH_ADDRESS,
            "/spec/clusterIPs": _WITH_ADDRESS,
            "/spec/ipFamilies": _WITH_ADDRESS,
            "/spec/ipFamilyPolicy": _WITH_ADDRESS,
            "/spec/internalTrafficPolicy": _WITH_ADDRESS,
            "/spec/externalTrafficPolicy": _WITH_NODE_PORT,
            "/spec/ports/*/nodePort": _WITH_NODE_PORT,
            "/spec/healthCheckNodePort": ("LoadBalancer",),
            "/spec/allocateLoadBalancerNodePorts": ("LoadBalancer",),
            "/spec/loadBalancerClass": ("LoadBalancer",),
            "/spec/externalName": ("ExternalName",),
        },
    ),
    ("", "PersistentVolume"): Strategy(initial={"/status/phase": "Pending"}),
    ("", "PersistentVolumeClaim"): Strategy(initial={"/status/phase": "Pending"}),
    ("apps", "Deployment"): _SELECTOR,
    ("apps", "ReplicaSet"): _SELECTOR,
    ("apps", "DaemonSet"): _SELECTOR,
    ("apps", "StatefulSet"): Strategy(immutable=("/spec/selector", "/spec/serviceName")),
    ("batch", "Job"): Strategy(immutable=("/spec/selector", "/spec/template", "/spec/completionMode")),
    ("rbac.authorization.k8s.io", "RoleBinding"): Strategy(immutable=("/roleRef",)),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): Strategy(immutable=("/roleRef",)),
    ("storage.k8s.io", "StorageClass"): Strategy(immutable=("/provisioner", "/parameters", "/reclaimPolicy")),
}


def strategy(group: str, kind: str) -> Strategy:
    """The kind's row, or what holds for every kind."""
    return _STRATEGIES.get((group, kind), _DEFAULT)


def left_behind(how: Strategy, old: Document, doc: Mapping[str, Any]) -> list[str]:
    """The `typed` fields that an update to another type leaves as they were, though that type has none.

    As Kubernetes' ``dropTypeDependentFields`` for services: a field that is also changed was meant, and is refused.
    """
    type_ = find(doc, "/spec/type")
    if not how.typed or type_ is None or type_ == find(old, "/spec/type"):
        return []
    foreign = (path for path, types in how.typed.items() if type_ not in types)
    return [path for path in foreign if (left := at(doc, path)) and left == at(old, path)]


def forbidden_changes(how: Strategy, old: Document, new: Document) -> list[tuple[str, str]]:
    """What an update changes although it may not: fields with what is wrong."""
    fixed = [(dotted(path), "field is immutable") for path in how.immutable if find(new, path) != find(old, path)]
    if how.mutable is not None and _spec(without(new, how.mutable)) != _spec(without(old, how.mutable)):
        allowed = ", ".join(f"`{dotted(path)}`" for path in how.mutable)
        fixed.append(("spec", f"updates may not change fields other than {allowed}"))
    return fixed


def _spec(doc: Document) -> Any:
    return doc.get("spec") or Document()
