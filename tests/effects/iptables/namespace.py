"""A node and its pods as network namespaces: veth pairs, no default route, a driver in a process of its own.

Pods are ``10.200.N.2``, the node is ``10.200.N.1`` to each; service addresses ``10.96.0.0/12`` are routed to the node.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import pytest

from kdl.fact import digest, row

T = TypeVar("T")
Rules = Sequence[dict[str, Any]]
CLUSTER = "abcd1234-0000"
PREFIX = "KDL-abcd-"
_CLONE_NEWNET = 0x40000000
_ROOT = Path(__file__).parents[3]


def missing() -> list[str]:
    """What this machine lacks for these tests."""
    lacks = [tool for tool in ("ip", "iptables-legacy", "iptables-legacy-save", "setpriv") if not shutil.which(tool)]
    return lacks if os.geteuid() == 0 else ["root", *lacks]


def require() -> None:
    """Skip the test where there can be no namespaces, or fail it if KDL_REQUIRE_DOCKER=1."""
    lacks = missing()
    if lacks and os.environ.get("KDL_REQUIRE_DOCKER") == "1":
        pytest.fail(f"KDL_REQUIRE_DOCKER=1, but this machine lacks {', '.join(lacks)}")
    if lacks:
        pytest.skip(f"this machine lacks {', '.join(lacks)}")


def run(*argv: str, check: bool = True) -> str:
    """What a command prints."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert not check or done.returncode == 0, f"{' '.join(argv)}: {done.stderr or done.stdout}"
    return done.stdout


def inside(namespace: str, function: Callable[[], T]) -> T:
    """Call a function in a thread that is in a network namespace; sockets that it makes stay there."""
    results: list[T] = []
    errors: list[BaseException] = []

    def enter() -> None:
        try:
            with open(f"/run/netns/{namespace}") as place:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(place.fileno(), _CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            results.append(function())
        except BaseException as error:
            errors.append(error)

    thread = Thread(target=enter)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


class Child:
    """A driver in a namespace's own process."""

    def __init__(self, namespace: str, cluster: str = CLUSTER, *prefix: str, lock_seconds: float = 20) -> None:
        self._process = subprocess.Popen(
            ["ip", "netns", "exec", namespace, *prefix, sys.executable, "-m", "tests.effects.iptables.child", cluster,
             str(lock_seconds)],
            cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip

    def ask(self, do: str, **request: Any) -> Any:
        """Have it do something; what it answers."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **request}) + "\n")
        return json.loads(self._process.stdout.readline())

    def perform(self, chains: Mapping[tuple[str, str], Rules | None], verb: str = "replace") -> list[str | None]:
        """Make chains as given, in one batch; their errors."""
        operations = [["remove" if rules is None else verb, *key, rules] for key, rules in chains.items()]
        errors: list[str | None] = self.ask("perform", operations=operations)
        return errors

    def observe(self) -> dict[tuple[str, str], str]:
        """The digests of its chains by table and chain."""
        seen = self.ask("observe")
        assert seen["blind"] is None, seen["blind"]
        return {(table, chain): found for _, table, chain, found in seen["chains"]}

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


def digests(chains: Mapping[tuple[str, str], Rules]) -> dict[tuple[str, str], str]:
    """What is to be observed of chains."""
    return {(table, chain): digest(row(("n1", table, chain, rules))) for (table, chain), rules in chains.items()}


class Node:
    """The namespaces of a node with some pods, and its driver."""

    def __init__(self, name: str, pods: int = 3) -> None:
        self.name = name
        self.pods = {number: f"{name}-p{number}" for number in range(1, pods + 1)}
        self.children: list[Child] = []
        self.sockets: list[socket.socket] = []
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
        for number, pod in self.pods.items():
            run("ip", "netns", "add", pod)
            run("ip", "-n", pod, "link", "set", "lo", "up")
            run("ip", "-n", name, "link", "add", f"pod{number}", "type", "veth", "peer", "name", "eth0", "netns", pod)
            run("ip", "-n", name, "addr", "add", f"10.200.{number}.1/24", "dev", f"pod{number}")
            run("ip", "-n", name, "link", "set", f"pod{number}", "up")
            run("ip", "-n", pod, "addr", "add", f"{address(number)}/24", "dev", "eth0")
            run("ip", "-n", pod, "link", "set", "eth0", "up")
            for cidr in ("10.200.0.0/16", "10.96.0.0/12"):
                run("ip", "-n", pod, "route", "add", cidr, "via", f"10.200.{number}.1")
        run("ip", "netns", "exec", name, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        self.driver = self.child()

    def child(self, cluster: str = CLUSTER, *prefix: str, lock_seconds: float = 20) -> Child:
        """A driver of a cluster here."""
        made = Child(self.name, cluster, *prefix, lock_seconds=lock_seconds)
        self.children.append(made)
        return made

    def iptables(self, *argv: str, check: bool = True) -> str:
        """What ``iptables-legacy`` says here."""
        return run("ip", "netns", "exec", self.name, "iptables-legacy", "-w", *argv, check=check)

    def saved(self) -> str:
        """All tables as text, without counters."""
        text = run("ip", "netns", "exec", self.name, "iptables-legacy-save")
        return "\n".join(line for line in text.splitlines() if not line.startswith("#"))

    def serve(self, *pods: int, port: int = 8080) -> None:
        """Answer TCP connections in pods with ``N address``: the pod's number and who it sees."""
        for number in pods:
            listener = inside(self.pods[number], lambda: socket.create_server(("0.0.0.0", port), backlog=512))
            self.sockets.append(listener)
            Thread(target=_answer, args=(listener, number), daemon=True).start()

    def ask(self, pod: int, host: str, port: int, times: int = 1, timeout: float = 2) -> list[tuple[int, str]]:
        """Connect from a pod; the pods that answered, each with the address it saw."""

        def connect() -> list[tuple[int, str]]:
            answers = []
            for _ in range(times):
                with socket.create_connection((host, port), timeout=timeout) as connection:
                    number, seen = connection.makefile().read().split()
                    answers.append((int(number), seen))
            return answers

        return inside(self.pods[pod], connect)

    def reset(self) -> None:
        """Remove all rules of everybody."""
        for table in ("filter", "nat"):
            self.iptables("-t", table, "-F")
            self.iptables("-t", table, "-X")

    def close(self) -> None:
        """End and remove it all."""
        for child in self.children:
            child.close()
        for made in self.sockets:
            made.shutdown(socket.SHUT_RDWR)
            made.close()
        for namespace in (*self.pods.values(), self.name):
            run("ip", "netns", "del", namespace)


def address(pod: int) -> str:
    """A pod's address."""
    return f"10.200.{pod}.2"


def _answer(listener: socket.socket, number: int) -> None:
    while True:
        try:
            connection, peer = listener.accept()
        except OSError:
            return
        with connection:
            connection.sendall(f"{number} {peer[0]}".encode())
