"""Commands as a user runs them: in this process where they only ask, in one of their own where they stay."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from kdl.runtime.shell.cli import run
from kdl.runtime.store.folder import owner

ROOT = Path(__file__).parents[3]
HELLO = ROOT / "examples" / "01-hello"
POLICIES = ROOT / "examples" / "02-policies"


class Said(NamedTuple):
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


Kdl = Callable[..., Said]


@pytest.fixture
def kdl(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Kdl:
    """Runs a command in this process; `stdin` is what is piped into it."""

    def command(*words: object, stdin: str = "") -> Said:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        capsys.readouterr()
        code = run([str(word) for word in words])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Said(code, out, err)

    return command


def start(*words: object) -> subprocess.Popen[str]:
    """A command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-u", "-c", "from kdl.runtime.shell.cli import main; main()", *map(str, words)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        preexec_fn=_interruptible,
    )


def _interruptible() -> None:
    """What a script runs in the background ignores interrupts, and its children would do so, too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def eventually(holds: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until it holds; fails if it does not in time."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it has not come true in time"
        time.sleep(0.02)


def end(folder: Path) -> None:
    """End the cluster of a folder as an operator would, and wait until it has ended."""
    pid = owner(folder)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: owner(folder) is None)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data folder that all commands use; whatever runs on it at the end is ended."""
    data = tmp_path / "data"
    monkeypatch.setenv("KDL_DATA", str(data))
    monkeypatch.chdir(ROOT)
    yield data
    end(data)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cluster of two fake nodes that runs the first example at rest, for tests that leave it so."""
    data = tmp_path_factory.mktemp("cluster") / "data"
    up = start("up", "--runtime", "fake", "--nodes", 2, "-d", "--wait", "-f", HELLO, "--data", data)
    out, _ = up.communicate(timeout=60)
    assert up.returncode == 0, out
    yield data
    end(data)
