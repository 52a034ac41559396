"""A cluster of real containers on a lab node of its own, and kubectl there."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from kdl.effects.pause.archive import Image
from tests.cluster.conftest import require_lab
from tests.cluster.images import load, test_images
from tests.cluster.lab import Lab, Node
from tests.conformance.conftest import Kubectl, Said

MAIN = "from kdl.runtime.shell.cli import main; main()"


class Inside(Kubectl):
    """Kubectl, and kdl, on a lab node."""

    def __init__(self, node: Node, data: Path) -> None:
        super().__init__(data / "kubeconfig")
        self.node, self.data = node, data

    def command(self, *words: object) -> list[str]:
        """The whole command."""
        return self.node.argv(*super().command(*words))

    def kdl(self, *words: str) -> Said:
        """What kdl says there."""
        argv = self.node.argv(sys.executable, "-c", MAIN, *words)
        environment = {**os.environ, "KDL_DATA": str(self.data)}
        done = subprocess.run(argv, capture_output=True, text=True, timeout=180, env=environment)
        return Said(done.returncode, done.stdout, done.stderr)

    def sh(self, pod: str, container: str, script: str) -> Said:
        """How a shell script ends in a container."""
        return self("exec", pod, "-c", container, "--", "sh", "-c", script)


@contextlib.contextmanager
def cluster(data: Path, *images: Image) -> Iterator[Inside]:
    """A running cluster whose node has the test images, and these."""
    require_lab()
    with Lab() as lab:
        load(lab.node.docker, *test_images(), *images)
        inside = Inside(lab.node, data)
        said = inside.kdl("up", "-d", "--wait")
        assert said.code == 0, said
        yield inside
        inside.kdl("down", "--purge")
