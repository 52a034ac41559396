"""`make demo` on a machine with Docker: real containers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.lab import Lab

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.docker


def test_the_demo_runs_three_containers_where_docker_answers(lab: Lab, tmp_path: Path):
    node = lab.node
    search = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "KDL_DATA": str(tmp_path / "data"), "PATH": search}
    try:
        done = subprocess.run(
            node.argv("sh", str(ROOT / "examples" / "demo.sh")), env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "kdl is up on the docker runtime" in done.stdout
        assert done.stdout.count(" Running ") == 3
        assert len(node.run("docker", "ps", "-q").split()) == 6
        assert "examples/01-hello/hello.yaml:" in done.stdout
    finally:
        subprocess.run(node.argv("kdl", "down", "--purge"), env=environment, capture_output=True)
    assert node.run("docker", "ps", "-aq") == ""
