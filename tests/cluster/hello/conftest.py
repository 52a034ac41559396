"""One node that runs the first example, and pods to reach it from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import require_lab
from tests.cluster.images import load, test_images
from tests.cluster.lab import Lab
from tests.cluster.lab.shell import wait
from tests.cluster.running import Doc, Running, ready
from tests.runtime.shell.conftest import HELLO

CLIENTS = """
apiVersion: v1
kind: Pod
metadata: {name: friend, labels: {hello: friend}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: shell, image: "busybox:1.36", command: [sleep, "100000"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: stranger, labels: {}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: shell, image: "busybox:1.36", command: [sleep, "100000"]}]
"""


class Hello(Running):
    """The cluster of the first example."""

    lab: Lab

    def replicas(self) -> list[Doc]:
        """The pods of its deployment that are Ready."""
        return [pod for pod in self.pods("hello") if ready(pod)]

    def whole(self) -> bool:
        """Three replicas are Ready and in the service, nobody else is there, and nothing is left to be done."""
        pods = self.replicas()
        addresses = {pod["status"]["podIP"] for pod in pods}
        return len(self.pods("hello")) == len(pods) == 3 and self.endpoints("hello") == addresses and self.idle()

    def await_whole(self) -> None:
        """Wait until it is as it was."""
        wait(self.whole, "three replicas that serve", seconds=60, every=0.05)

    def address(self, service: str = "hello") -> str:
        """The address of a service."""
        return str(self.service(service)["spec"]["clusterIP"])

    def asks(self, client: str, url: str, times: int = 1, timeout: int = 2) -> list[str]:
        """What a client pod is answered, line by line; nothing where it gets no answer."""
        script = f"for i in $(seq {times}); do timeout {timeout} wget -qO- {url} 2>/dev/null; done"
        return self.execute(self.pod(client), "shell", script).split()

    @contextmanager
    def applied(self, folder: Path, text: str) -> Iterator[None]:
        """Some more objects for a while."""
        path = folder / "more.yaml"
        path.write_text(text)
        self.do("apply", "-f", path)
        try:
            yield
        finally:
            self.do("delete", "--ignore-not-found", "-f", path)


@pytest.fixture(scope="package")
def hello(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hello]:
    """The example and its clients, running; in the end nothing is left of them."""
    require_lab()
    folder = tmp_path_factory.mktemp("hello")
    clients = folder / "clients.yaml"
    clients.write_text(CLIENTS)
    with Lab() as lab:
        load(lab.node.docker, *test_images())
        made = Hello(lab.node, folder / "data")
        made.lab = lab
        try:
            made.do("up", "-d", "--wait", "-f", HELLO, "-f", clients)
            wait(lambda: all(map(ready, made.pods())), "the clients")
            yield made
        finally:
            made.do("down", "--purge")
        assert made.left() == ""


@pytest.fixture
def whole(hello: Hello) -> Iterator[Callable[[], Any]]:
    """Before and after a test that breaks something, everything is there."""
    hello.await_whole()
    yield hello.await_whole
    hello.await_whole()
