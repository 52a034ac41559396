"""What this machine is, for the node object that stands for it. Reads the system; changes nothing."""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import subprocess
from importlib.metadata import version
from typing import Any

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def cpus() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def memory() -> int:
    """The machine's memory in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def used() -> tuple[int, int]:
    """The nanoseconds of CPU that all processes of this machine have used since it began, and the bytes in use now.

    Source: proc(5): of `/proc/stat` all but `idle` and `iowait`; memory that is not available without swapping.
    """
    with open("/proc/stat") as file:
        user, nice, kernel, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])
    with open("/proc/meminfo") as file:
        amounts = {name: int(amount.split()[0]) << 10 for name, _, amount in (line.partition(":") for line in file)}
    ticks = user + nice + kernel + irq + softirq + steal
    return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK"), amounts["MemTotal"] - amounts["MemAvailable"]


def address() -> str:
    """An IPv4 address that other machines may know this one by; the loopback address where there is none."""
    if shutil.which("ip"):
        found = subprocess.run(["ip", "-j", "-4", "addr", "show", "scope", "global", "up"], capture_output=True)
        links = json.loads(found.stdout or b"[]") if found.returncode == 0 else []
        for link in links:
            virtual = str(link.get("ifname", "")).startswith(("docker", "br-", "kdl", "veth"))
            for item in link.get("addr_info", ()) if not virtual else ():
                return str(item["local"])
    return "127.0.0.1"


def system() -> str:
    """What this machine's system calls itself."""
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def node_object(
    name: str, pod_cidr: str, node_address: str, cpus: int, memory_bytes: int, runtime: str, pods: int = 110
) -> dict[str, Any]:
    """The Node object of a machine with so many cores and bytes."""
    amount = {"cpu": str(cpus), "memory": str(memory_bytes), "pods": str(pods)}
    architecture = ARCHITECTURES.get(platform.machine(), platform.machine())
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": architecture,
            },
        },
        "spec": {"podCIDR": pod_cidr, "podCIDRs": [pod_cidr]},
        "status": {
            "capacity": amount,
            "allocatable": amount,
            "addresses": [
                {"type": "InternalIP", "address": node_address},
                {"type": "Hostname", "address": name},
            ],
            "nodeInfo": {
                "architecture": architecture,
                "operatingSystem": "linux",
                "osImage": system(),
                "kernelVersion": platform.release(),
                "containerRuntimeVersion": runtime,
                "kubeletVersion": f"v{version('kdl')}",
                "kubeProxyVersion": "",
                "machineID": "",
                "systemUUID": "",
                "bootID": "",
            },
        },
    }


def node_name() -> str:
    """The name that this machine's node has, as a DNS label."""
    return socket.gethostname().split(".")[0].lower().replace("_", "-")
