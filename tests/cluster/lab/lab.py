"""A lab: its nodes, the network between them, and its end, also when the process that made it was killed."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

from tests.cluster.lab.network import Network, node_address, pod_cidr
from tests.cluster.lab.node import Node
from tests.cluster.lab.shell import run, wait

PROGRAMS = ("dockerd", "runc", "iptables", "ip", "nsenter", "unshare", "tini", "curl", "busybox")


def missing() -> list[str]:
    """What this machine lacks for a lab."""
    lacks = [] if os.geteuid() == 0 else ["root"]
    return lacks + [program for program in PROGRAMS if shutil.which(program) is None]


class Lab:
    """So many nodes and a client namespace; use it in a ``with``. Several labs may run side by side.

    The dockerd of `stock` nodes has its default settings, with a bridge and rules of its own.
    """

    def __init__(self, nodes: int = 1, stock: bool = False) -> None:
        self.name = f"kdl-{secrets.token_hex(3)}"
        self.folder = Path(tempfile.gettempdir()) / f"{self.name}-lab"
        self.network = Network(self.name, nodes)
        self.nodes = [
            Node(f"kdl-n{number}", namespace, node_address(number), pod_cidr(number), self.folder / f"n{number}",
                 f"/{self.name}/n{number}", stock)
            for number, namespace in self.network.nodes.items()
        ]  # fmt: skip

    @property
    def node(self) -> Node:
        """The first node."""
        return self.nodes[0]

    def client_argv(self, *command: str) -> list[str]:
        """A command as it is run in the network outside the nodes."""
        return ["nsenter", f"--net=/run/netns/{self.network.client}", "--", *command]

    def client(self, *command: str, check: bool = True, timeout: float = 60) -> str:
        """What a command prints when it is run in the network outside the nodes."""
        return run(*self.client_argv(*command), check=check, timeout=timeout)

    def __enter__(self) -> Lab:
        sweep()
        self.folder.mkdir(mode=0o700)
        (self.folder / "owner").write_text(str(os.getpid()))
        try:
            self.network.up()
            for node in self.nodes:
                node.start()
            for node in self.nodes:
                node.await_docker()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.down()

    def down(self) -> None:
        """Remove everything that belongs to the lab."""
        for node in self.nodes:
            node.discard()
        _remove(self.name, self.folder)


def sweep() -> None:
    """Remove the labs whose makers have died without doing so."""
    for folder in Path(tempfile.gettempdir()).glob("kdl-*-lab"):
        try:
            owner = int((folder / "owner").read_text())
        except (OSError, ValueError):
            continue
        if not Path(f"/proc/{owner}").exists():
            remove(folder)


def remove(folder: Path) -> None:
    """Remove a lab by its folder: only what is recorded there."""
    for record in folder.glob("n*/init.pid"):
        pid = int(record.read_text() or 0)
        comm = Path(f"/proc/{pid}/comm")
        if pid and comm.exists() and comm.read_text().strip() == "tini":
            os.kill(pid, signal.SIGKILL)
            wait(lambda pid=pid: not Path(f"/proc/{pid}").exists(), f"the end of {pid}")  # type: ignore[misc]
    for data in folder.glob("n*/data"):
        if os.path.ismount(data):
            wait(lambda data=data: not run("umount", str(data), check=False) and not os.path.ismount(data), "umount")  # type: ignore[misc]
    _remove(folder.name.removesuffix("-lab"), folder)


def _remove(name: str, folder: Path) -> None:
    for line in run("ip", "netns", "list").splitlines():
        namespace = line.split()[0]
        if namespace.startswith(f"{name}-"):
            for pid in run("ip", "netns", "pids", namespace, check=False).split():
                os.kill(int(pid), signal.SIGKILL)  # what a test left running in the lab's own namespace
            run("ip", "netns", "del", namespace)
    for root in Path("/sys/fs/cgroup").glob(f"*/{name}"):
        subprocess.run(["find", str(root), "-depth", "-type", "d", "-exec", "rmdir", "{}", "+"], capture_output=True)
    shutil.rmtree(folder, ignore_errors=True)
