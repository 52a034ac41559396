"""How the parts of a running cluster are, as `ComponentStatus` objects under the names that Kubernetes gives them."""

from __future__ import annotations

from collections.abc import Callable

from kdl.fact import Document, value
from kdl.runtime.store import Key, Object

KIND = ("", "ComponentStatus")


def components(ailment: Callable[[], str | None], revision: Callable[[], int]) -> list[Object]:
    """The brain, which schedules and controls, with what ails it, and the store."""
    wrong = ailment()
    known = {"scheduler": wrong, "controller-manager": wrong, "etcd-0": None}
    return [_status(name, ails, revision()) for name, ails in known.items()]


def _status(name: str, ails: str | None, revision: int) -> Object:
    condition = {"type": "Healthy", "status": "False" if ails else "True", "message": ails or "ok"}
    doc = value(
        {"apiVersion": "v1", "kind": KIND[1], "metadata": {"name": name}, "conditions": [condition]},
    )
    assert isinstance(doc, Document)
    return Object(Key(*KIND, name), revision, doc)
