"""An unmodified kubectl against a running `kdl up`."""

from __future__ import annotations

import contextlib
import copy
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Self

import pytest

ROOT = Path(__file__).parents[2]


class Said(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


class Kubectl:
    """Runs kubectl with the kubeconfig that `kdl up` has written, in a namespace."""

    def __init__(self, kubeconfig: Path, namespace: str = "default") -> None:
        program = shutil.which("kubectl", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        if program is None:
            pytest.skip("there is no kubectl: install the dependency group `dev`")
        self.program, self.kubeconfig, self.namespace = program, kubeconfig, namespace
        self.environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "KUBE_EDITOR": "false"}

    def within(self, namespace: str) -> Self:
        """The same in another namespace."""
        other = copy.copy(self)
        other.namespace = namespace
        return other

    def command(self, *words: object) -> list[str]:
        """The whole command."""
        return [self.program, "-n", self.namespace, *map(str, words)]

    def __call__(self, *words: object, stdin: str = "", timeout: float = 60, **environment: str) -> Said:
        """Run it to its end."""
        done = subprocess.run(
            self.command(*words),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**self.environment, **environment},
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def ok(self, *words: object, stdin: str = "", timeout: float = 60, **environment: str) -> str:
        """What it prints, having succeeded."""
        said = self(*words, stdin=stdin, timeout=timeout, **environment)
        assert said.code == 0, f"{words}: {said}"
        return said.out

    def start(self, *words: object) -> subprocess.Popen[str]:
        """Let it run."""
        return subprocess.Popen(
            self.command(*words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment,
            start_new_session=True,
        )

    @staticmethod
    def stop(process: subprocess.Popen[str]) -> None:
        """End what was started, and whatever it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=10)


def eventually(holds: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until it holds; fails if it does not in time."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it has not come true in time"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of a cluster of two fake nodes, whose data folder it is in."""
    data = tmp_path_factory.mktemp("kubectl") / "data"
    kdl = [sys.executable, "-c", "from kdl.runtime.shell.cli import main; main()"]
    up = subprocess.Popen(
        [*kdl, "up", "-q", "--runtime", "fake", "--nodes", "2", "--data", str(data)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        cwd=ROOT,
    )
    try:
        eventually(lambda: (data / "endpoint").exists() or up.poll() is not None, 60)
        assert up.poll() is None
        yield data / "kubeconfig"
    finally:
        up.send_signal(signal.SIGTERM)
        up.wait(30)


@pytest.fixture(scope="module")
def admin(kubeconfig: Path) -> Kubectl:
    """Kubectl of the one who may do everything."""
    return Kubectl(kubeconfig)


@pytest.fixture
def kubectl(admin: Kubectl, request: pytest.FixtureRequest) -> Iterator[Kubectl]:
    """Kubectl in a namespace of the test's own."""
    name = f"t{abs(hash(request.node.nodeid)) % 10**8}"
    admin.ok("create", "namespace", name)
    yield admin.within(name)
    admin.ok("delete", "namespace", name, "--ignore-not-found", "--wait=false")
