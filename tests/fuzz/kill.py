"""`kill -9` of a `kdl up` that twenty clients write to: what was acknowledged is there, what was refused is not.

Whoever watches resumes from the last resourceVersion it has seen and hears each later event once, in order.
"""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from tests.fuzz.up import Client, Up

SPACE: Final = "/api/v1/namespaces/default"
WRITERS: Final = 20
CUT: Final = (OSError, http.client.HTTPException)
"""What a client sees of a server that dies."""


class State(NamedTuple):
    """An object as its writer knows it."""

    revision: str
    value: str


class Event(NamedTuple):
    """One line of a watch."""

    revision: int
    type: str
    name: str
    value: str


class Writer(threading.Thread):
    """Creates, replaces and deletes objects of its own until the server is gone, and often asks for what is refused."""

    def __init__(self, up: Up, number: int, seed: int) -> None:
        super().__init__(name=f"writer-{number}")
        self.number, self._up, self._chance = number, up, random.Random(f"{seed} {number}")
        self.known: dict[str, State | None] = {}
        """What was acknowledged last of each object; None where it was deleted."""
        self.sent: tuple[str, str | None] | None = None
        """The write that is not answered yet: an object, and its new value."""
        self.pods: dict[str, str] = {}
        self.count = self.refusals = 0
        self.trouble: str | None = None

    def run(self) -> None:
        """Until the server dies."""
        try:
            client = self._up.client()
            while True:
                self._write(client, f"w{self.number}-{self._chance.randrange(3)}")
        except CUT:
            pass
        except AssertionError as error:
            self.trouble = f"{self.name}: {error}"

    def _write(self, client: Client, name: str) -> None:
        self.count += 1
        value, state = f"{self.number}-{self.count}", self.known.get(name)
        path = f"{SPACE}/configmaps"
        match self._chance.randrange(10):
            case 0 if state is not None:
                self.sent = (name, None)
                self._acknowledged(client("DELETE", f"{path}/{name}"), 200)
                self.known[name] = None
            case 1 if state is not None:
                self._refused(client("POST", path, _configmap(name, f"refused-{value}")), 409)
            case 2 if state is not None:
                stale = _configmap(name, f"refused-{value}", str(int(state.revision) - 1))
                self._refused(client("PUT", f"{path}/{name}", stale), 409)
            case 3:
                wrong = {**_configmap(f"{name}-refused", "x"), "data": {"refused key": "x"}}
                self._refused(client("POST", path, wrong), 422)
            case 4 if self.count % 3 == 0:
                status, made = client("POST", f"{SPACE}/pods", _pod(f"p{value}"))
                self._acknowledged((status, made), 201)
                self.pods[f"p{value}"] = made["metadata"]["uid"]
            case _:
                self.sent = (name, value)
                if state is None:
                    status, doc = client("POST", path, _configmap(name, value))
                    self._acknowledged((status, doc), 201)
                else:
                    status, doc = client("PUT", f"{path}/{name}", _configmap(name, value, state.revision))
                    self._acknowledged((status, doc), 200)
                self.known[name] = State(doc["metadata"]["resourceVersion"], value)
        self.sent = None

    @staticmethod
    def _acknowledged(answer: tuple[int, Any], status: int) -> None:
        assert answer[0] == status, answer

    def _refused(self, answer: tuple[int, Any], status: int) -> None:
        assert answer[0] == status, answer
        self.refusals += 1

    def check(self, found: dict[str, State]) -> None:
        """Every object of this writer is as it was acknowledged, or as the write without an answer made it."""
        for name in {*self.known, *([self.sent[0]] if self.sent else [])}:
            known, now = self.known.get(name), found.get(name)
            if self.sent is not None and self.sent[0] == name and (now.value if now else None) == self.sent[1]:
                continue
            assert now == known, f"{name}: acknowledged {known}, found {now}, on its way {self.sent}"


class Watcher(threading.Thread):
    """Hears of ConfigMaps; `resume` goes on where it was, in a new thread."""

    def __init__(self, up: Up, since: int, heard: Iterable[Event] = ()) -> None:
        super().__init__(daemon=True)
        self._up, self.since, self.heard = up, since, list(heard)
        self.refusal: dict[str, Any] | None = None

    def resume(self) -> Watcher:
        """One that goes on from the last revision that this one has seen."""
        last = self.heard[-1].revision if self.heard else self.since
        again = Watcher(self._up, last, self.heard)
        again.start()
        return again

    def run(self) -> None:
        """Until the server dies, or the object `end` is there."""
        try:
            client = self._up.client(timeout=120)
            answer = client.send("GET", f"{SPACE}/configmaps?watch=true&resourceVersion={self.since}")
            while line := answer.readline():
                event = orjson.loads(line)
                if event["type"] == "ERROR":
                    self.refusal = event["object"]
                    return
                self.heard.append(_event(event))
                if self.heard[-1].name == "end":
                    return
        except (*CUT, orjson.JSONDecodeError):  # also in the middle of a line
            pass


def _event(event: dict[str, Any]) -> Event:
    metadata = event["object"]["metadata"]
    value = event["object"].get("data", {}).get("value", "")
    return Event(int(metadata["resourceVersion"]), event["type"], metadata["name"], value)


def _configmap(name: str, value: str, revision: str | None = None) -> dict[str, Any]:
    metadata = {"name": name} | ({"resourceVersion": revision} if revision else {})
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"value": value}}


def _pod(name: str) -> dict[str, Any]:
    containers = [{"name": "c", "image": "registry.example.com/x:1"}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": containers}}


class Round(NamedTuple):
    """What a round was about."""

    acknowledged: int
    refused: int
    pods: int
    events: int


def one_round(folder: Path, seed: int) -> Round:
    """A new cluster, written to, killed and started again; `AssertionError` where it breaks its word."""
    chance = random.Random(seed)
    with Up(folder / "data") as up:
        begin = int(_configmaps(up)[1])
        writers = [Writer(up, number, seed) for number in range(WRITERS)]
        watchers = [Watcher(up, begin) for _ in range(4)]
        for thread in (*watchers, *writers):
            thread.start()
        time.sleep(chance.uniform(0.8, 2.0))
        page = _page(up, limit=7)
        time.sleep(chance.uniform(0.2, 1.0))
        up.kill()
        for thread in (*writers, *watchers):
            thread.join(60)
            assert not thread.is_alive(), f"{thread.name} hangs"
        assert [writer.trouble for writer in writers if writer.trouble] == []
        up.start()
        found, _ = _configmaps(up)
        for writer in writers:
            writer.check(found)
        _check_pods(up, writers)
        assert not any("refused" in name or "refused" in state.value for name, state in found.items())
        events = _check_watches(up, begin, watchers)
        _check_page(up, page, begin, events)
        done = sum(writer.count - writer.refusals for writer in writers)
        return Round(done, sum(w.refusals for w in writers), sum(len(w.pods) for w in writers), len(events))


def _configmaps(up: Up) -> tuple[dict[str, State], str]:
    status, listed = up.client()("GET", f"{SPACE}/configmaps")
    assert status == 200, listed
    items = {item["metadata"]["name"]: item for item in listed["items"]}
    found = {
        name: State(item["metadata"]["resourceVersion"], item.get("data", {}).get("value", ""))
        for name, item in items.items()
    }
    return found, listed["metadata"]["resourceVersion"]


def _check_pods(up: Up, writers: Iterable[Writer]) -> None:
    status, listed = up.client()("GET", f"{SPACE}/pods")
    assert status == 200, listed
    found = {item["metadata"]["name"]: item["metadata"]["uid"] for item in listed["items"]}
    for writer in writers:
        for name, uid in writer.pods.items():
            assert found.get(name) == uid, f"pod {name} was acknowledged with {uid}: {found.get(name)}"


def _check_watches(up: Up, begin: int, watchers: list[Watcher]) -> list[Event]:
    """Whoever resumes hears what everybody hears who watches from the beginning, which is what the writers did."""
    before = [len(watcher.heard) for watcher in watchers]
    fresh = Watcher(up, begin)
    fresh.start()
    resumed = [watcher.resume() for watcher in watchers]
    status, made = up.client()("POST", f"{SPACE}/configmaps", _configmap("end", "end"))
    assert status == 201, made
    for watcher in (fresh, *resumed):
        watcher.join(60)
        assert watcher.refusal is None, watcher.refusal
        assert watcher.heard[-1].name == "end", "a watch ended early"
    assert min(before) > 0, "the watchers heard nothing before the end"
    revisions = [event.revision for event in fresh.heard]
    assert revisions == sorted(set(revisions)), "revisions are not in order"
    assert not any("refused" in event.value or "refused" in event.name for event in fresh.heard)
    for watcher in resumed:
        assert watcher.heard == fresh.heard, "a watch has a gap, or an event twice"
    return fresh.heard


def _page(up: Up, limit: int, token: str = "") -> tuple[int, list[str], str]:
    """A page of the list of ConfigMaps: the revision it is of, names with values, and the token of the next."""
    status, listed = up.client()("GET", f"{SPACE}/configmaps?limit={limit}&continue={token}")
    assert status == 200, listed
    metadata = listed["metadata"]
    names = [f"{item['metadata']['name']}={item.get('data', {}).get('value', '')}" for item in listed["items"]]
    return int(metadata["resourceVersion"]), names, metadata.get("continue", "")


def _check_page(up: Up, page: tuple[int, list[str], str], begin: int, events: Iterable[Event]) -> None:
    """A list that was begun before the end goes on after it, at its own revision."""
    revision, names, token = page
    while token:
        again, more, token = _page(up, 7, token)
        assert again == revision
        names += more
    then: dict[str, str] = {}
    for event in events:
        if event.revision <= revision:
            if event.type == "DELETED":
                then.pop(event.name, None)
            else:
                then[event.name] = event.value
    mine = [name for name in names if name.startswith("w")]
    assert sorted(mine) == sorted(f"{name}={value}" for name, value in then.items() if name.startswith("w"))
