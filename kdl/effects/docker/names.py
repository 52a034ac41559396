"""What kdl calls its things in Docker, and the labels by which it knows them again. Pure.

Only what carries the cluster's and the node's label is ever seen or touched.
"""

from __future__ import annotations

from dataclasses import dataclass

CLUSTER = "kdl.dev/cluster"
NODE = "kdl.dev/node"
ROLE = "kdl.dev/role"
"""``sandbox`` or ``container``."""
POD = "kdl.dev/pod"
POD_UID = "kdl.dev/pod-uid"
CONTAINER = "kdl.dev/container"
ATTEMPT = "kdl.dev/attempt"
HASH = "kdl.dev/hash"
"""The digest of the desired row that it was made from."""
CAUSE = "kdl.dev/cause"
NOTES = "kdl.dev/notes"
STOP = "kdl.dev/stop"
"""How to stop it, as JSON: ``grace`` in seconds and ``preStop``. Removal must not need the manifest any more."""

SANDBOX_NAME = "POD"
"""Stands where an app container's name does; no container can be called so."""


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one node of one cluster, both given by what they are called and by uid."""

    cluster: str
    node: str

    @property
    def prefix(self) -> str:
        """What every name of the cluster begins with; short enough to name a network interface."""
        return f"kdl-{self.cluster[:8]}"

    @property
    def network(self) -> str:
        """The pods' network and the name of its bridge."""
        return self.prefix

    def container(self, pod_uid: str, name: str, attempt: int) -> str:
        """One run of one container."""
        return f"{self.prefix}-{pod_uid}-{name}-{attempt}"

    def labels(self) -> dict[str, str]:
        """The labels of everything that is of this node."""
        return {CLUSTER: self.cluster, NODE: self.node}

    def filter(self, **more: str) -> dict[str, list[str]]:
        """Docker's filter for what is of this node; ``pod_uid`` and ``container`` narrow it."""
        narrowed = {{"pod_uid": POD_UID, "container": CONTAINER}[key]: item for key, item in more.items()}
        return {"label": [f"{key}={item}" for key, item in {**self.labels(), **narrowed}.items()]}
