"""What the containers of a node use of it, as the kernel counts it: read through Docker, from their cgroups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kdl.effects.docker.connection import Client, NotFound
from kdl.effects.docker.inventory import Listed
from kdl.effects.driver import Reading

_INACTIVE = ("total_inactive_file", "inactive_file")
"""File pages that the kernel takes back first: under cgroups of version 1, of version 2."""


def readings(client: Client, containers: Iterable[Listed]) -> Iterator[Reading]:
    """Of each container that runs; one that ends meanwhile is left out."""
    for item in containers:
        if item.role != "container" or item.state != "running":
            continue
        try:
            stats = client.stats(item.id, stream=False, one_shot=True)
        except NotFound:
            continue
        if (memory := working_set(stats.get("memory_stats") or {})) is not None:
            cpu = int(stats["cpu_stats"]["cpu_usage"]["total_usage"])
            yield Reading(item.pod_uid, item.container, item.id, cpu, memory)


def working_set(stats: Mapping[str, Any]) -> int | None:
    """The bytes that a container needs, as the kubelet reckons them; None of one that has ended."""
    if (used := stats.get("usage")) is None:
        return None
    known = stats.get("stats") or {}
    inactive = next((int(known[name]) for name in _INACTIVE if name in known), 0)
    return max(int(used) - inactive, 0)
