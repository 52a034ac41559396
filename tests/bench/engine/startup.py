"""How long a command takes to start, as a user waits for it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench.engine.single import Single, timed

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
            yield Single(name, wanted, tuple(waited(order) for _ in range(times + 1))[1:])


def waited(order: list[str]) -> float:
    """The seconds until a command has ended."""
    return timed(lambda: subprocess.run(order, check=True, capture_output=True))
