"""Kubernetes' table of quality-of-service classes, asked on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from kdl.runtime.shell.cli import kdl

RESOURCES = ("cpu", "memory")
AMOUNT = {"cpu": "1", "memory": "1Gi"}
LESS = {"cpu": "500m", "memory": "512Mi"}

WAYS = ("nothing", "request", "limit", "equal", "less")
"""How a container may speak of a resource; a limit alone is a request for as much."""


def container(name: str, cpu: str, memory: str) -> dict[str, Any]:
    """A container that speaks of cpu and memory in these ways."""
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}
    for resource, way in zip(RESOURCES, (cpu, memory), strict=True):
        if way in ("request", "equal", "less"):
            requests[resource] = LESS[resource] if way == "less" else AMOUNT[resource]
        if way in ("limit", "equal", "less"):
            limits[resource] = AMOUNT[resource]
    return {"name": name, "image": "app:1", "resources": {"requests": requests, "limits": limits}}


def expected(*containers: tuple[str, str]) -> str:
    """By the table: nothing anywhere, everything bounded everywhere, or neither."""
    ways = [way for each in containers for way in each]
    if all(way == "nothing" for way in ways):
        return "BestEffort"
    return "Guaranteed" if all(way in ("limit", "equal") for way in ways) else "Burstable"


def rows() -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
    """Every row for one container, and for two the pairs of the rows that tell classes apart."""
    one = list(product(WAYS, WAYS))
    for cpu, memory in one:
        yield f"one-{cpu}-{memory}", ((cpu, memory),)
    for (cpu, memory), (other, beside) in product([("nothing", "nothing"), ("equal", "limit"), ("less", "equal")], one):
        yield f"two-{cpu}-{memory}-{other}-{beside}", ((cpu, memory), (other, beside))


def test_each_row_of_the_table_has_its_class(tmp_path: Path):
    table = dict(rows())
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"containers": [container(f"c{at}", *ways) for at, ways in enumerate(containers)]},
        }
        for name, containers in table.items()
    ]
    file = tmp_path / "pods.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": pods}))
    done = CliRunner().invoke(kdl, ["eval", "resources.qos(P, C)", "-f", str(file), "-o", "json"])
    found = {row["P"].removeprefix("default/"): row["C"] for row in json.loads(done.stdout)}
    assert found == {name: expected(*containers) for name, containers in table.items()}
    assert set(found.values()) == {"BestEffort", "Burstable", "Guaranteed"}
    assert len(found) == 100
