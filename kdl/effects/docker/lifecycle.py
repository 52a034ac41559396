"""Making, stopping and removing, each so that doing it again after a crash anywhere in it ends the same.

A container's name says which run it is and its hash what it was made from. What is found under the wanted name with the
wanted hash is adopted; anything else of ours in its place is removed first. Only the last run counts; the one before it
is kept for its logs.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from kdl.effects.contents import Contents
from kdl.effects.docker import names as label
from kdl.effects.docker.connection import ACT, APIError, Client, NotFound, Refused
from kdl.effects.docker.execution import execute
from kdl.effects.docker.images import ensure_pause, resolve, runs_as_root
from kdl.effects.docker.inventory import Listed, listed, milliseconds
from kdl.effects.docker.names import SANDBOX_NAME, Names
from kdl.effects.docker.network import ensure_network
from kdl.effects.docker.specification import (
    command_is_secret,
    container_body,
    sandbox_attempt,
    sandbox_body,
)
from kdl.effects.probe import http_get
from kdl.fact import Document, Row, digest, value

MINIMUM = 2
"""Seconds that a container has to end in after a preStop hook that used its time up."""

UNTOLD = "Docker cannot make or start it; what it says may quote the command, which has secret data in it"


class Lifecycle:
    """The operations on one node's sandboxes and containers; each blocks until it is done."""

    def __init__(self, names: Names, pod_cidr: str, volumes: Path, contents: Contents) -> None:
        self._names, self._pod_cidr, self._volumes, self._contents = names, pod_cidr, volumes, contents
        self._pause = ""
        self._preparing = threading.Lock()

    # sandboxes

    def make_sandbox(self, client: Client, row: Row) -> None:
        """The pod's one sandbox, running, made from the row."""
        uid, config = str(row[1]), row[2]
        assert isinstance(config, Document)
        name = self._names.container(uid, SANDBOX_NAME, sandbox_attempt(config))
        found = self._adopt(client, name, digest(row), self._of_pod(client, uid, SANDBOX_NAME), keep=False)
        if not self._pause:
            self._prepare(client)
        try:
            self._run(client, name, sandbox_body(self._names, row, self._pause), found)
        except NotFound:  # somebody removed the network or the image since
            self._prepare(client)
            self._run(client, name, sandbox_body(self._names, row, self._pause), None)

    def _prepare(self, client: Client) -> None:
        with self._preparing:
            ensure_network(client, self._names, self._pod_cidr)
            self._pause = ensure_pause(client)

    def remove_sandbox(self, client: Client, uid: str) -> None:
        """The pod's sandboxes and, before them, whatever containers of it are left."""
        everything = self._of_pod(client, uid)
        for item in sorted(everything, key=lambda item: item.role == "sandbox"):
            self._remove(client, item)

    # containers

    def make_container(self, client: Client, row: Row) -> None:
        """The container as the row wants it: started once. One that has ended since is left as it is."""
        uid, container, config = str(row[1]), str(row[2]), row[4]
        assert isinstance(config, Document)
        name = self._names.container(uid, container, int(str(row[3])))
        image = resolve(client, config["image"], config.get("imagePullPolicy", "IfNotPresent"))
        body = container_body(self._names, row, self._volumes, self._contents.text)
        if (config.get("securityContext") or {}).get("runAsNonRoot") and runs_as_root(image, body.get("User")):
            raise Refused("the container must not run as root (runAsNonRoot), but would")
        found = self._adopt(client, name, digest(row), self._of_pod(client, uid, container), keep=True)
        try:
            self._run(client, name, body, found)
        except APIError:
            if command_is_secret(config):
                raise Refused(UNTOLD) from None
            raise

    def remove_container(self, client: Client, uid: str, container: str) -> None:
        """All runs of the container, after a graceful end."""
        for item in self._of_pod(client, uid, container):
            self._remove(client, item)

    def stop_container(self, client: Client, uid: str, container: str, container_id: str, grace: int) -> None:
        """An end of this run within so many seconds; it stays as it ended."""
        for item in self._of_pod(client, uid, container):
            if item.id == container_id:
                self._stop(client, item, grace)

    def discard(self, client: Client, item: Listed) -> None:
        """Remove it at once."""
        _remove(client, item.id)

    # steps

    def _of_pod(self, client: Client, uid: str, container: str | None = None) -> list[Listed]:
        narrowed = {"pod_uid": uid} if container is None else {"pod_uid": uid, "container": container}
        return listed(client, self._names.filter(**narrowed))

    def _adopt(self, client: Client, name: str, wanted: str, there: list[Listed], keep: bool) -> Listed | None:
        """Which run that is there is the wanted one; others are stopped and removed, but the last may be kept."""
        adopted = next((item for item in there if (item.name, item.hash) == (name, wanted)), None)
        others = sorted((item for item in there if item is not adopted), key=lambda item: -item.attempt)
        for item in others:
            if keep and item.name != name and item.state != "created":
                self._stop(client, item)
                keep = False
            else:
                self._remove(client, item)
        return adopted

    def _run(self, client: Client, name: str, body: dict[str, Any], found: Listed | None) -> None:
        if found is not None and _has_begun(client, found):
            return
        made = found.id if found is not None else _create(client, name, body)
        try:
            client.start(made)
        except APIError:
            _remove(client, made)
            raise

    def _remove(self, client: Client, item: Listed) -> None:
        if item.role != "sandbox":  # a pause container has nothing to end
            self._stop(client, item)
        _remove(client, item.id)

    def _stop(self, client: Client, item: Listed, grace: int | None = None) -> None:
        """Its preStop hook, SIGTERM, and SIGKILL when its grace is over: the one that it was made with, or this one."""
        if item.state != "running":
            return
        how = value(orjson.loads(item.labels.get(label.STOP, "{}")))
        assert isinstance(how, Document)
        grace = int(how.get("grace", 30)) if grace is None else grace
        began = time.monotonic()
        hook = how.get("preStop")
        if hook and grace > 0:
            with suppress(Exception):  # a hook that fails, in whatever way, does not keep the container alive
                self._hook(client, item, hook, grace)
            grace = max(MINIMUM, grace - int(time.monotonic() - began))
        try:
            client.stop(item.id, timeout=grace)
        except NotFound:
            return

    def _hook(self, client: Client, item: Listed, hook: Document, grace: int) -> None:
        if "exec" in hook:
            execute(client, item.id, hook["exec"]["command"], grace)
        elif "httpGet" in hook:
            addresses = [other.ip for other in self._of_pod(client, item.pod_uid, SANDBOX_NAME) if other.ip]
            http_get(hook["httpGet"], addresses[0] if addresses else "127.0.0.1", grace)
        elif "sleep" in hook:
            time.sleep(min(int(hook["sleep"].get("seconds", 0)), grace))


def _has_begun(client: Client, item: Listed) -> bool:
    """Whether it was ever started. Docker's list may be behind, and what has ended must not run again."""
    return item.state != "created" or milliseconds(client.inspect_container(item.id)["State"]["StartedAt"]) is not None


def _create(client: Client, name: str, body: dict[str, Any]) -> str:
    try:
        return str(client.create_container_from_config(body, name)["Id"])
    except APIError as error:
        if error.status_code == 409:
            raise Refused(f"the name `{name}` is taken by a container that this kdl did not make") from error
        raise


def _remove(client: Client, container_id: str) -> None:
    """Remove it and wait until it is gone."""
    end = time.monotonic() + ACT
    while True:
        try:
            client.remove_container(container_id, force=True, v=True)
        except NotFound:
            return
        except APIError as error:
            if error.status_code != 409 or time.monotonic() > end:  # 409: its removal is already in progress
                raise
            time.sleep(0.05)
        else:
            return
