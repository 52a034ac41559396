"""How the parts of a running cluster are, as `ComponentStatus` objects under the names that Kubernetes gives them."""

from __future__ import annotations

from collections.abc import Callable

from kdl.fact import Document, value
from kdl.runtime.store import Key, Object

KIND = ("", "ComponentStatus")


def components(thinking: Callable[[], bool], revision: Callable[[], int]) -> list[Object]:
    """The brain, which schedules and controls, and the store."""
    known = {"scheduler": thinking(), "controller-manager": thinking(), "etcd-0": True}
    return [_status(name, healthy, revision()) for name, healthy in known.items()]


def _status(name: str, healthy: bool, revision: int) -> Object:
    condition = {
        "type": "Healthy",
        "status": "True" if healthy else "False",
        "message": "ok" if healthy else "the loop does not run",
    }
    doc = value(
        {"apiVersion": "v1", "kind": KIND[1], "metadata": {"name": name}, "conditions": [condition]},
    )
    assert isinstance(doc, Document)
    return Object(Key(*KIND, name), revision, doc)
