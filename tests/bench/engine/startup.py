"""What it takes to start a command and to end it."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench.engine.single import Single, single

KDL = str(Path(sys.executable).with_name("kdl"))
POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {containers: [{name: web, image: "web:1"}]}
"""


def measured(times: int = 11) -> Iterator[Single]:
    """`kdl --help`, and `kdl eval` with all shipped packs, which have been compiled before."""
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder, "pod.yaml")
        manifest.write_text(POD)
        asked = [KDL, "eval", "resources.qos(P, C)", "-f", str(manifest)]
        for name, wanted, order in (
            ("`kdl --help`", 0.150, [KDL, "--help"]),
            ("`kdl eval` of a pod with all shipped packs", 0.600, asked),
        ):
            yield single(name, wanted, tuple(waited(order) for _ in range(times + 1))[1:])


def waited(order: list[str]) -> float:
    """The processor seconds of a command from its start to its end."""
    before = used()
    subprocess.run(order, check=True, capture_output=True)
    return used() - before


def used() -> float:
    """The processor seconds of all commands that have ended."""
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime
