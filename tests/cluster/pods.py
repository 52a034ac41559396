"""Pods as the docker driver is told of them, and a small loop that makes what is wanted be there."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from kdl.effects.docker import DockerDriver
from kdl.effects.driver import Cause, Operation, Outcome, Verb
from kdl.fact import Row, digest, row

CAUSE = Cause("node.dl:1", "a test wants it")
POSITION = {"docker.sandbox": ("node.sandbox", 2, 2), "docker.container": ("node.container", 3, 3)}
"""Of each observed relation: the effect relation, the length of the key and the place of the hash."""


def operation(
    verb: Verb, relation: str, key: Row, desired: Row | None = None, observed: Row | None = None
) -> Operation:
    """An operation that a test wants done."""
    return Operation(verb, relation, key, desired, observed, CAUSE)


@dataclass(slots=True)
class Pod:
    """One pod of one node; `config` changes its sandbox's configuration."""

    node: str
    name: str = "web-0"
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))
    config: dict[str, Any] = field(default_factory=dict)

    def sandbox(self, **config: Any) -> Row:
        """A row of `node.sandbox`."""
        default = {
            "pod": f"default/{self.name}", "uid": self.uid, "hostname": self.name, "hostNetwork": False, "labels": {},
            "notes": {"attempt": 0}, "cause": f"node.sandbox: Pod default/{self.name} runs on {self.node}",
        }  # fmt: skip
        return row((self.node, self.uid, {**default, **self.config, **config}))

    def container(self, sandbox: str, name: str = "app", attempt: int = 0, **config: Any) -> Row:
        """A row of `node.container`; it sleeps unless told otherwise, and ends at once when stopped."""
        default = {
            "pod": f"default/{self.name}", "uid": self.uid, "image": "busybox:1.36", "command": ["sleep", "1000"],
            "args": [], "env": [], "resources": {"cpuShares": 2}, "oomScoreAdj": 0, "imagePullPolicy": "IfNotPresent",
            "terminationGracePeriodSeconds": 0, "securityContext": {}, "sandbox": sandbox, "notes": {"backoff": 0},
            "cause": f"node.container: {name} of Pod default/{self.name} runs on {self.node}",
        }  # fmt: skip
        return row((self.node, self.uid, name, attempt, {**default, **config}))


def seen(driver: DockerDriver, relation: str) -> dict[Row, Row]:
    """What the driver observes in a relation, by key without the node."""
    observation = driver.observe()
    assert observation.blind is None, observation.blind
    width = POSITION[relation][1]
    return {fact.row[1:width]: fact.row for fact in observation.facts if fact.relation == relation}


def do(driver: DockerDriver, verb: Verb, relation: str, key: Row, desired: Row | None = None) -> None:
    """Perform it; it must succeed."""
    outcome: Outcome = driver.perform(operation(verb, relation, key, desired))
    assert outcome.error is None, outcome.error


def make_sandbox(driver: DockerDriver, pod: Pod, **config: Any) -> Row:
    """Create a pod's sandbox; returns what is observed of it."""
    wanted = pod.sandbox(**config)
    do(driver, "create", "node.sandbox", wanted[:2], wanted)
    return seen(driver, "docker.sandbox")[(pod.uid,)]


def make_container(driver: DockerDriver, pod: Pod, sandbox: str, name: str = "app", **config: Any) -> Row:
    """Create a container of a pod; returns what is observed of it."""
    wanted = pod.container(sandbox, name, **config)
    do(driver, "create", "node.container", wanted[:3], wanted)
    return seen(driver, "docker.container")[(pod.uid, name)]


def reconcile(driver: DockerDriver, desired: dict[str, list[Row]]) -> int:
    """One round of what the executor does: compare by key and hash, perform the difference; returns how many."""
    observation = driver.observe()
    assert observation.blind is None, observation.blind
    done = 0
    for observed, (relation, width, hash_at) in POSITION.items():
        there = {fact.row[:width]: fact.row for fact in observation.facts if fact.relation == observed}
        wanted = {item[:width]: item for item in desired.get(relation, ())}
        for key in sorted(set(there) | set(wanted), key=str):
            have, want = there.get(key), wanted.get(key)
            if have is not None and want is not None and have[hash_at] == digest(want):
                continue
            verb: Verb = "remove" if want is None else "create" if have is None else "replace"
            driver.perform(operation(verb, relation, key, want, have))
            done += 1
    return done
