"""A cluster of real containers as its user has it: the commands on its node, its API, what Docker and packets show."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
from docker.models.containers import Container

from kdl.effects.docker import names as label
from kdl.runtime.api.connection import Connection, connection
from kdl.runtime.store.folder import owner
from tests.cluster.lab import Node
from tests.cluster.lab.shell import wait
from tests.runtime.shell.conftest import Said

MAIN = (sys.executable, "-c", "from kdl.runtime.shell.cli import main; main()")

Doc = dict[str, Any]


class Running:
    """One cluster on one node, by its data folder. Its process may come and go."""

    def __init__(self, node: Node, data: Path) -> None:
        self.node, self.data = node, data
        self.docker = docker.DockerClient(base_url=node.docker)

    # its process

    def kdl(self, *words: object, **environment: str) -> Said:
        """A command on the node, run to its end."""
        argv = self.node.argv(*MAIN, *map(str, words))
        done = subprocess.run(argv, capture_output=True, text=True, timeout=180, env=self._environment(environment))
        assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
        return Said(done.returncode, done.stdout, done.stderr)

    def do(self, *words: object, **environment: str) -> str:
        """A command that must succeed; what it prints."""
        said = self.kdl(*words, **environment)
        if said.code != 0:
            log = self.data / "up.log"
            raise AssertionError(f"{said}\n{log.read_text()[-4000:] if log.exists() else ''}")
        return said.out

    def run_until(self, holds: Callable[[], bool], *words: object, **environment: str) -> bool:
        """Start `kdl up` and wait until something holds; False if it is killed before."""
        argv = self.node.argv(*MAIN, "up", "--quiet", *map(str, words))
        (self.data / "endpoint").unlink(missing_ok=True)
        with (self.data / "up.log").open("w") as log:
            up = subprocess.Popen(
                argv, env=self._environment(environment), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        end = time.monotonic() + 90
        while up.poll() is None:
            if (self.data / "endpoint").exists() and holds():
                return True
            assert time.monotonic() < end, (self.data / "up.log").read_text()
            time.sleep(0.1)
        assert up.returncode in (-9, 137), (self.data / "up.log").read_text()
        return False

    def _environment(self, extra: dict[str, str]) -> dict[str, str]:
        return {**os.environ, "KDL_DATA": str(self.data), "PYTHONUNBUFFERED": "1", **extra}

    def kill(self) -> None:
        """End its process as a crash would."""
        self.node.run("kill", "-9", str(owner(self.data)))
        wait(lambda: owner(self.data) is None, "the end of kdl up")

    # what it says

    def ask(self, path: str, *options: str) -> Any:
        """The answer of its API; nothing while it does not serve."""
        at = connection(self.data)
        answer = self.node.run(*curl(at), "-m", "10", *options, at.endpoint + path, check=False)
        return json.loads(answer) if answer else {}

    def items(self, path: str) -> list[Doc]:
        """The objects of a list."""
        return self.ask(path).get("items") or []

    def idle(self) -> bool:
        """Nothing is left to be done."""
        answer = self.ask("/kdl/v1/status", "-d", "{}", "-H", "Content-Type: application/json")
        return bool(answer.get("pending") == 0)

    def watch(self, path: str) -> subprocess.Popen[str]:
        """The changes of a list, one document a line."""
        at = connection(self.data)
        argv = [
            "nsenter",
            f"--net=/run/netns/{self.node.namespace}",
            *curl(at),
            "-N",
            f"{at.endpoint}{path}?watch=true",
        ]
        return subprocess.Popen(argv, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)

    def pods(self, app: str = "") -> list[Doc]:
        """The pods of the default namespace, or of an app there."""
        items = self.items("/api/v1/namespaces/default/pods")
        return [pod for pod in items if not app or pod["metadata"].get("labels", {}).get("app") == app]

    def pod(self, name: str) -> Doc:
        """One pod."""
        found: Doc = self.ask(f"/api/v1/namespaces/default/pods/{name}")
        return found

    def service(self, name: str) -> Doc:
        """One service."""
        found: Doc = self.ask(f"/api/v1/namespaces/default/services/{name}")
        return found

    def endpoints(self, service: str) -> set[str]:
        """The addresses that a service's packets go to."""
        subsets = self.ask(f"/api/v1/namespaces/default/endpoints/{service}").get("subsets") or []
        return {address["ip"] for subset in subsets for address in subset.get("addresses") or []}

    # what is there

    def containers(self, **labels: str) -> list[Container]:
        """Its containers, running or not, sandboxes too."""
        wanted = [f"{getattr(label, name.upper())}={value}" for name, value in labels.items()]
        filters: dict[str, str | list[str] | bool] = {"label": [label.CLUSTER, *wanted]}
        found: list[Container] = self.docker.containers.list(all=True, filters=filters, ignore_removed=True)
        return found

    def container(self, pod: Doc, name: str) -> Container:
        """The container of a pod that runs, `POD` for its sandbox."""
        found = self.containers(pod_uid=pod["metadata"]["uid"], container=name)
        (running,) = [container for container in found if container.status == "running"]
        return running

    def execute(self, pod: Doc, container: str, script: str) -> str:
        """What a shell script prints in a container."""
        _, output = self.container(pod, container).exec_run(["sh", "-c", script])
        assert isinstance(output, bytes)
        return output.decode()

    def left(self) -> str:
        """Everything of kdl's that Docker and the kernel of the node have."""
        return "".join(
            [
                self.node.run("docker", "ps", "-aq"),
                self.node.run("docker", "network", "ls", "--filter", "name=kdl", "-q"),
                self.node.run("docker", "volume", "ls", "-q"),
                *[line for line in self.node.run("iptables-legacy-save").splitlines(True) if "kdl" in line.lower()],
                *[line for line in self.node.run("ip", "-br", "link").splitlines(True) if "kdl" in line.lower()],
            ]
        )


def curl(at: Connection) -> list[str]:
    """A request of the API, but for its address."""
    known = ["--cacert", str(at.authority)] if at.authority is not None else []
    return ["curl", "-sS", *known, "-H", f"Authorization: Bearer {at.token}"]


def ready(pod: Doc) -> bool:
    """Whether a pod is Ready and stays."""
    conditions = pod.get("status", {}).get("conditions", ())
    return "deletionTimestamp" not in pod["metadata"] and any(
        condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions
    )


def name_of(doc: Doc) -> str:
    """The name of an object."""
    return str(doc["metadata"]["name"])


def uid_of(doc: Doc) -> str:
    """The uid of an object."""
    return str(doc["metadata"]["uid"])
