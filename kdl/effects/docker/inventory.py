"""What is there: the containers of this node in Docker, and the facts that they are.

One list call; only what is new or has changed its state is inspected as well.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from kdl.effects.docker import names as label
from kdl.effects.docker.connection import Client, NotFound
from kdl.effects.docker.names import Names
from kdl.fact import FALSE, TRUE, Fact, Row, Value, value

STATES = {"created": "created", "running": "running", "paused": "running", "restarting": "running"}
"""The states that rules know; everything else has ended."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One container as Docker's list shows it."""

    id: str
    name: str
    state: str
    labels: dict[str, str]
    image_id: str
    ip: str
    created: int
    network_mode: str

    @property
    def role(self) -> str:
        """``sandbox`` or ``container``."""
        return self.labels.get(label.ROLE, "")

    @property
    def pod_uid(self) -> str:
        """The uid of its pod."""
        return self.labels.get(label.POD_UID, "")

    @property
    def container(self) -> str:
        """The name of the container in its pod."""
        return self.labels.get(label.CONTAINER, "")

    @property
    def attempt(self) -> int:
        """Which run of the container it is."""
        return int(self.labels.get(label.ATTEMPT, "0"))

    @property
    def hash(self) -> str:
        """The digest of the desired row that it was made from."""
        return self.labels.get(label.HASH, "")

    @property
    def notes(self) -> Value:
        """What rules noted on it."""
        return value(orjson.loads(self.labels[label.NOTES])) if label.NOTES in self.labels else None

    @property
    def key(self) -> Row:
        """The key of the operation that makes it, without the node."""
        return (self.pod_uid,) if self.role == "sandbox" else (self.pod_uid, self.container)


def listed(client: Client, filters: dict[str, list[str]]) -> list[Listed]:
    """All containers that pass a filter, running or not."""
    return [_listed(entry) for entry in client.containers(all=True, filters=filters)]


def _listed(entry: dict[str, Any]) -> Listed:
    networks = (entry.get("NetworkSettings") or {}).get("Networks") or {}
    return Listed(
        id=entry["Id"],
        name=entry["Names"][0].removeprefix("/") if entry.get("Names") else "",
        state=STATES.get(entry["State"], "exited"),
        labels=entry.get("Labels") or {},
        image_id=entry["ImageID"],
        ip=next((network["IPAddress"] for network in networks.values() if network.get("IPAddress")), ""),
        created=int(entry["Created"]) * 1000,
        network_mode=(entry.get("HostConfig") or {}).get("NetworkMode", ""),
    )


@dataclass(frozen=True, slots=True)
class _Run:
    """What an inspection shows of a container. Its state is the true one: Docker's list lags behind its events."""

    state: str
    exit_code: int | None
    oom: bool
    started: int | None
    finished: int | None


class Inventory:
    """The containers of one node, with what was last found out about each."""

    def __init__(self, names: Names, address: str) -> None:
        self._names, self._address = names, address
        self._lock = threading.Lock()
        self._runs: dict[str, _Run] = {}
        self._forgotten = 0
        """How often something was forgotten: an inspection that began before is not remembered after it."""

    def forget(self, container_id: str | None = None) -> None:
        """Something happened to a container, or it is not known to which: inspect it again."""
        with self._lock:
            self._forgotten += 1
            if container_id is None:
                self._runs.clear()
            else:
                self._runs.pop(container_id, None)

    def facts(self, client: Client, making: Collection[Row]) -> list[Fact]:
        """Everything that is there now. What is still being made (by key) is not there yet."""
        found = listed(client, self._names.filter())
        with self._lock:
            there = {item.id for item in found}
            self._runs = {key: run for key, run in self._runs.items() if key in there}
        shown = []
        for item in found:
            run = self._run(client, item)
            if run is not None and not (run.state == "created" and item.key in making):
                shown.append((item, run))
        runs = {item.id: run for item, run in shown}
        last = latest(item for item, _ in shown)
        return [
            self._sandbox(item, runs[item.id]) if item.role == "sandbox" else self._container(item, runs[item.id])
            for item in last
        ]

    def _sandbox(self, item: Listed, run: _Run) -> Fact:
        running = run.state == "running"
        ip = (item.ip or self._address) if running else ""
        row = (
            self._names.node, item.pod_uid, _settled_hash(item, run), item.id, ip, TRUE if running else FALSE,
            item.created, item.notes,
        )  # fmt: skip
        return Fact("docker.sandbox", row)

    def _container(self, item: Listed, run: _Run) -> Fact:
        row = (
            self._names.node, item.pod_uid, item.container, _settled_hash(item, run), item.attempt, item.id,
            item.image_id, run.state, run.exit_code, TRUE if run.oom else FALSE, run.started, run.finished,
            item.network_mode.removeprefix("container:"), item.notes,
        )  # fmt: skip
        return Fact("docker.container", row)

    def _run(self, client: Client, item: Listed) -> _Run | None:
        with self._lock:
            run, before = self._runs.get(item.id), self._forgotten
        if run is not None and run.state == item.state:
            return run
        try:
            run = _inspected(client.inspect_container(item.id)["State"])
        except NotFound:
            return None
        with self._lock:
            if self._forgotten == before:
                self._runs[item.id] = run
        return run


def latest(found: Iterable[Listed]) -> list[Listed]:
    """Of each container the last run that got anywhere; earlier ones are kept for their logs only."""
    best: dict[Row, Listed] = {}
    for item in sorted(found, key=lambda item: item.attempt):
        best[item.key] = item
    return list(best.values())


def _settled_hash(item: Listed, run: _Run) -> str:
    """No hash for what was made and never started: its making is to be done again, which adopts it."""
    return "" if run.state == "created" else item.hash


def _inspected(state: dict[str, Any]) -> _Run:
    known = STATES.get(state["Status"], "exited")
    ended = known == "exited"
    return _Run(
        state=known,
        exit_code=int(state["ExitCode"]) if ended else None,
        oom=bool(state["OOMKilled"]),
        started=milliseconds(state["StartedAt"]),
        finished=milliseconds(state["FinishedAt"]) if ended else None,
    )


def milliseconds(text: str) -> int | None:
    """Docker's time as a fact's; its zero is none."""
    return None if text.startswith("0001-") else int(datetime.fromisoformat(text).timestamp() * 1000)
