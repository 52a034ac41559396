"""Secret data never reaches the engine that people ask."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from kdl.effects.driver import Operation
from kdl.fact import Fact, literal
from kdl.parser.source import shipped
from kdl.runtime.api.service import Objects
from kdl.runtime.brain import Brain
from kdl.runtime.clock import VirtualClock
from kdl.runtime.cluster import Cluster, fake_nodes
from kdl.runtime.journal import Journal
from kdl.runtime.programs import compile
from kdl.runtime.questions import query
from kdl.runtime.seal import APPLIED
from kdl.runtime.shell.narrator import line
from kdl.runtime.store import MemoryStore
from kdl.runtime.whatif import suppose

HIDDEN = b64encode(b"correct horse battery").decode()


def secret(name: str, data: dict[str, str]) -> dict[str, Any]:
    metadata = {"name": name, "annotations": {APPLIED: '{"data": {"password": "' + HIDDEN + '"}}'}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


@pytest.fixture
def brain() -> Brain:
    clock = VirtualClock()
    return Brain(compile(shipped()), Objects(MemoryStore(), clock), clock)


def data(brain: Brain, name: str) -> dict[str, str]:
    brain.settle()
    found = query(brain.engine, f'core.object(kind: "Secret", id: "default/{name}", doc: D), X = D.data')
    marks: dict[str, str] = found[0]["X"]
    return marks


def test_facts_tell_secrets_apart_and_never_what_they_are(brain):
    objects = brain._objects
    objects.create(secret("before", {"password": HIDDEN}))
    brain.start()
    objects.create(secret("after", {"password": HIDDEN, "other": HIDDEN, "more": "bW9yZQ=="}))
    before, after = data(brain, "before"), data(brain, "after")
    assert before["password"].startswith("<secret default/before/password#")
    assert before["password"][-11:] == after["password"][-11:] == after["other"][-11:] != after["more"][-11:]
    objects.patch("Secret", "default/after", [("/data/password", "bW9yZQ==")])
    assert data(brain, "after")["password"] != after["password"]
    facts = [Fact(name, row) for name in brain.engine.program.relations for row in brain.engine.facts(name)]
    assert len(facts) > 20
    assert not [fact for fact in facts if any(HIDDEN in literal(item) for item in fact.row)]
    assert objects.get("Secret", "default/before").doc["data"]["password"] == HIDDEN


def test_marks_of_two_clusters_cannot_be_compared(brain):
    other = Brain(brain.engine.program, Objects(MemoryStore(), VirtualClock()), VirtualClock())
    for one in (brain, other):
        one._objects.create(secret("s", {"password": HIDDEN}))
        one.start()
    assert data(brain, "s")["password"] != data(other, "s")["password"]


def test_what_pods_do_with_secret_data_is_told_by_its_mark(tmp_path: Path) -> None:
    """Variables, words of commands and files; in facts, in operations and their lines, and in what is recorded."""
    key = {"name": "s", "key": "password"}
    container = {
        "name": "a",
        "image": "a:1",
        "envFrom": [{"secretRef": {"name": "s"}, "prefix": "ALL_"}],
        "env": [{"name": "PW", "valueFrom": {"secretKeyRef": key}}, {"name": "URL", "value": "pg://$(PW)@db"}],
        "command": ["$(PW)"],
        "args": ["--url=$(URL)", "$(ALL_password)"],
        "volumeMounts": [{"name": "v", "mountPath": "/v"}],
    }
    spec = {"nodeName": "node-1", "containers": [container], "volumes": [{"name": "v", "secret": {"secretName": "s"}}]}
    clock, done = VirtualClock(), list[Operation]()
    nodes = fake_nodes(1, clock)
    journal = Journal(tmp_path)
    tell = lambda operation, error: done.append(operation)  # noqa: E731
    cluster = Cluster(compile(shipped()), MemoryStore(), nodes, clock, tell, journal)
    cluster.load()
    cluster.objects.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}})
    cluster.objects.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec})
    cluster.rest(clock, 60_000)
    assert not query(cluster.brain.engine, "docker.container(name: C)")
    cluster.objects.create(secret("s", {"password": HIDDEN}))
    cluster.rest(clock, 60_000)
    engine = cluster.brain.engine
    (found,) = query(engine, 'docker.container(name: "a", state: "running"), node.container(name: "a", config: C)')
    journal.close()
    told = [literal(item) for name in engine.program.relations for row in engine.facts(name) for item in row]
    told += [line(operation) + str(operation) + repr(operation) for operation in done]
    recorded = "".join(file.read_text() for file in tmp_path.rglob("*") if file.is_file())
    for text in (str(found["C"]["env"]), str(found["C"]["args"]), "".join(told), recorded):
        assert "<secret default/s/password#" in text
        assert HIDDEN not in text
        assert "correct horse" not in text


def test_supposing_a_secret_tells_neither_its_data_nor_whether_it_is_the_right_one() -> None:
    clock = VirtualClock()
    brain = Brain(compile(shipped()), Objects(MemoryStore(), clock), clock)
    brain._objects.create(secret("s", {"password": HIDDEN}))
    brain.start()
    known = data(brain, "s")["password"]
    guess = secret("s", {"password": HIDDEN})
    guess = {**guess, "metadata": {**guess["metadata"], "namespace": "default"}, "stringData": {"more": HIDDEN}}
    supposed = [suppose(brain.engine, objects=[guess]) for _ in range(2)]
    told = [literal(item) for one in supposed for fact in one.insert for item in fact.row]
    assert not any(HIDDEN in text or known in text for text in told)
    assert supposed[0].insert != supposed[1].insert
