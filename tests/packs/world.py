"""A cluster in a dictionary: the packs on an engine, a store that does their commands, nodes that run what is bound.

One `tick` is what the loop does: read the commands that are derived, do them all, feed the changed objects back. Nodes
are the least that packs need: a bound pod runs, is Ready when `is_ready` says so, and is gone a tick after its
deletion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kdl
from kdl.fact import digest, plain
from kdl.rules.program import Program

POLICIES = Path(__file__).parents[2] / "policies"
START = 1_767_225_600_000
COMMANDS = ("api.create", "api.delete", "api.remove", "api.patch", "api.bind", "api.write_status")

Key = tuple[str, str]
Object = dict[str, Any]


def pack(*names: str) -> Program:
    """The shipped packs of these names, as one program."""
    return kdl.compile([POLICIES / name for name in names])


class World:
    """Objects by (kind, id), the engine that reads them, and the time."""

    def __init__(self, program: Program, is_ready: Callable[[Object], bool] = lambda pod: True) -> None:
        self.engine = kdl.Engine(program)
        self.objects: dict[Key, Object] = {}
        self.is_ready = is_ready
        self.now = START
        self.done: list[tuple[str, tuple[Any, ...]]] = []
        """Every command that was done, in order."""
        self._told: dict[Key, tuple[Any, ...]] = {}
        self._uids = 0

    # --- what a test does ---

    def apply(self, document: Object) -> Key:
        """Create an object, or give an existing one a new spec and new labels."""
        metadata = document["metadata"]
        namespace = metadata.get("namespace")
        key = (document["kind"], f"{namespace}/{metadata['name']}" if namespace else metadata["name"])
        if key in self.objects:
            self._change(key, lambda doc: (doc.update(spec=document.get("spec")), doc["metadata"].update(metadata)))
        else:
            self._create(deepcopy(document))
        return key

    def node(self, name: str, cpu: str = "4", memory: str = "8Gi", pods: str = "110", **spec: Any) -> None:
        """A node with room."""
        room = {"cpu": cpu, "memory": memory, "pods": pods}
        self.apply(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name},
                "spec": spec,
                "status": {"allocatable": room, "capacity": room},
            }
        )

    def delete(self, kind: str, id: str, policy: str = "Background") -> None:
        """Delete as the API does, with a propagation policy."""
        finalizer = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}.get(policy)
        if finalizer:
            self._change((kind, id), lambda doc: doc["metadata"].setdefault("finalizers", []).append(finalizer))
        self._delete((kind, id))

    def edit(self, kind: str, id: str, change: Callable[[Object], object]) -> None:
        """Change an object in place."""
        self._change((kind, id), change)

    def advance(self, milliseconds: int) -> None:
        """Let time pass."""
        self.now += milliseconds

    def get(self, kind: str, id: str) -> Object:
        """One object."""
        return self.objects[kind, id]

    def all(self, kind: str) -> list[Object]:
        """All objects of a kind, by name."""
        return [doc for key, doc in sorted(self.objects.items()) if key[0] == kind]

    def living(self) -> list[Object]:
        """The pods that are not being deleted."""
        return [pod for pod in self.all("Pod") if "deletionTimestamp" not in pod["metadata"]]

    def ready(self) -> list[Object]:
        """The pods that are Ready and stay."""
        return [pod for pod in self.living() if condition(pod, "Ready") == "True"]

    # --- the loop ---

    def tick(self) -> bool:
        """Tell the engine what changed, do what it commands, let the nodes work; whether anything happened."""
        before = deepcopy(self.objects)
        self._tell()
        for relation, row in list(self.commands()):
            self.done.append((relation, row))
            getattr(self, f"_do_{relation.removeprefix('api.')}")(*map(plain, row))
        self._run()
        self._tell()
        return self.objects != before

    def commands(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """What the packs want done now."""
        for relation in COMMANDS:
            for row in sorted(self.engine.facts(relation), key=repr):
                yield relation, row

    def settle(self, limit: int = 60, watch: Callable[[], object] = lambda: None) -> int:
        """Tick until nothing happens; `watch` looks on after each tick. Returns the number of ticks."""
        for ticks in range(limit):
            if not self.tick():
                faults = self.engine.facts("kdl.fault")
                assert not faults, faults
                return ticks
            watch()
        raise AssertionError(f"still at work after {limit} ticks: {list(self.commands())[:10]}")

    def _tell(self) -> None:
        now = {key: _fact(key, doc) for key, doc in self.objects.items()}
        insert = [("core.object", row) for key, row in now.items() if self._told.get(key) != row]
        remove = [("core.object", row) for key, row in self._told.items() if now.get(key) != row]
        self.engine.apply(insert=insert, remove=remove, now=self.now)
        self._told = deepcopy(now)

    def _run(self) -> None:
        for pod in self.all("Pod"):
            metadata = pod["metadata"]
            key = ("Pod", f"{metadata['namespace']}/{metadata['name']}")
            if "nodeName" not in pod["spec"]:
                continue
            if "deletionTimestamp" in metadata:
                del self.objects[key]
                continue
            status = pod.setdefault("status", {})
            status.setdefault("phase", "Running")
            wanted = "True" if self.is_ready(pod) else "False"
            if condition(pod, "Ready") != wanted:
                others = [item for item in status.get("conditions", []) if item["type"] != "Ready"]
                mine = {"type": "Ready", "status": wanted, "lastTransitionTime": self._stamp()}
                status["conditions"] = [*others, mine]

    # --- the store ---

    def _stamp(self) -> str:
        return datetime.fromtimestamp(self.now / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _create(self, document: Object) -> None:
        metadata = document["metadata"]
        namespace = metadata.get("namespace")
        key = (document["kind"], f"{namespace}/{metadata['name']}" if namespace else metadata["name"])
        if key in self.objects:
            return
        self._uids += 1
        metadata |= {"uid": f"uid-{self._uids}", "creationTimestamp": self._stamp(), "generation": 1}
        self.objects[key] = document

    def _change(self, key: Key, change: Callable[[Object], object]) -> None:
        document = deepcopy(self.objects[key])
        spec = deepcopy(document.get("spec"))
        change(document)
        if document.get("spec") != spec:
            document["metadata"]["generation"] += 1
        self.objects[key] = document
        self._reap(key)

    def _delete(self, key: Key) -> None:
        if key not in self.objects:
            return
        document = deepcopy(self.objects[key])
        document["metadata"].setdefault("deletionTimestamp", self._stamp())
        self.objects[key] = document
        self._reap(key)

    def _reap(self, key: Key) -> None:
        document = self.objects[key]
        metadata, spec = document["metadata"], document.get("spec") or {}
        graceful = document["kind"] == "Pod" and "nodeName" in spec
        held = metadata.get("finalizers") or (document["kind"] == "Namespace" and spec.get("finalizers"))
        if "deletionTimestamp" in metadata and not held and not graceful:
            del self.objects[key]

    def _do_create(self, kind: str, key: str, document: Object) -> None:
        metadata = document["metadata"]
        if "name" not in metadata:
            owner = metadata["ownerReferences"][0]["uid"]
            metadata["name"] = metadata.pop("generateName") + digest((owner, key), 4)
        assert document["kind"] == kind
        self._create(document)

    def _do_delete(self, kind: str, id: str, reason: str) -> None:
        self._delete((kind, id))

    def _do_remove(self, kind: str, id: str, uid: str) -> None:
        if (kind, id) in self.objects and self.objects[kind, id]["metadata"]["uid"] == uid:
            del self.objects[kind, id]

    def _do_patch(self, kind: str, id: str, path: str, value: Any) -> None:
        *steps, last = [step.replace("~1", "/") for step in path.removeprefix("/").split("/")]

        def change(document: Object) -> None:
            for step in steps:
                document = document.setdefault(step, {})
            if value is None:
                document.pop(last, None)
            else:
                document[last] = value

        if (kind, id) in self.objects:
            self._change((kind, id), change)

    def _do_bind(self, pod: str, node: str) -> None:
        assert ("Node", node) in self.objects
        self._change(("Pod", pod), lambda doc: doc["spec"].setdefault("nodeName", node))

    def _do_write_status(self, kind: str, id: str, field: str, value: Any) -> None:
        if (kind, id) not in self.objects:
            return
        if field == "conditions":
            value = [{"lastTransitionTime": self._stamp(), **item} for item in value]
        self._do_patch(kind, id, "/status/" + field.replace(".", "/"), value)


def condition(document: Object, type: str) -> str | None:
    """The status of a condition of an object."""
    for item in document.get("status", {}).get("conditions", ()):
        if item["type"] == type:
            return str(item["status"])
    return None


def _fact(key: Key, document: Object) -> tuple[Any, ...]:
    version = document["apiVersion"]
    group = version.rpartition("/")[0]
    return (group, *key, document["metadata"]["uid"], document)
