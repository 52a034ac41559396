"""Whether this machine can run pods, and what to do where it cannot. Looks only; `fix` alone changes anything."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

SYSCTLS = {
    "net/ipv4/ip_forward": "packets between pods and other machines are not forwarded",
    "net/bridge/bridge-nf-call-iptables": "packets between two pods of this node pass no network policy",
    "net/ipv4/conf/all/route_localnet": "node ports cannot be reached at 127.0.0.1",
}
"""The kernel settings that must be 1, and what is wrong otherwise."""

PROC = Path("/proc/sys")

SYSTEM = "/usr/sbin:/sbin"
"""Where iptables is, also for those whose PATH does not say so."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that kdl needs of the machine, whether it is so, and what to do if not."""

    what: str
    ok: bool
    advice: str = ""

    def __str__(self) -> str:
        return f"ok: {self.what}" if self.ok else f"missing: {self.what}; {self.advice}"


def examine(docker: Callable[[], str], proc: Path = PROC) -> list[Finding]:
    """Everything that kdl needs. `docker` gives the daemon's version or raises: the driver's `version`."""
    return [_root(), _docker(docker), *_tables(), *_sysctls(proc)]


def fix(proc: Path = PROC) -> list[str]:
    """Set the kernel settings that kdl needs and that can be set; returns what was changed, as sysctl writes it."""
    changed = []
    for name in SYSCTLS:
        path = proc / name
        try:
            if path.read_text().strip() != "1":
                path.write_text("1\n")
                changed.append(f"{_dotted(name)}=1")
        except OSError:
            continue  # `examine` finds it still missing, and says what to do
    return changed


def _root() -> Finding:
    return Finding("root", os.geteuid() == 0, "run kdl as root: it makes network rules and talks to Docker")


def _docker(version: Callable[[], str]) -> Finding:
    try:
        return Finding(f"Docker {version()}", True)
    except Exception as error:
        where = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        return Finding("Docker", False, f"nobody answers at {where}: install and start docker ({error})")


def _tables() -> Iterator[Finding]:
    """The legacy tables must work; whatever forwards packets in either kind must not drop those of pods."""
    working = 0
    for kind in ("legacy", "nft"):
        program = f"iptables-{kind}"
        path = shutil.which(program) or shutil.which(program, path=SYSTEM)
        if path is None:
            if kind == "legacy":
                yield Finding("iptables (legacy tables)", False, "install the package iptables")
            continue
        read = {table: _run(path, "-w", "5", "-t", table, "-S") for table in ("filter", "nat")}
        refused = [str(answer) for answer in read.values() if isinstance(answer, Refusal)]
        if kind == "legacy":
            advice = f"load the kernel modules ip_tables, iptable_filter and iptable_nat ({'; '.join(refused)})"
            yield Finding("iptables (legacy tables)", not refused, advice)
        if refused:
            continue
        working += 1
        drops = "-P FORWARD DROP" in str(read["filter"])
        yield Finding(
            f"forwarding allowed by the {kind} tables",
            not drops,
            f"packets of pods may be dropped on their way: run `{program} -P FORWARD ACCEPT`"
            " (Docker sets this policy unless it is started with --ip-forward=false)",
        )
    if not working:
        yield Finding("iptables tables of any kind", False, "this kernel has neither ip_tables nor nf_tables")


class Refusal(str):
    """What a command said that failed."""


def _run(*argv: str) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=10, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Refusal(error)
    return done.stdout if done.returncode == 0 else Refusal(" ".join(done.stderr.split()))


def _sysctls(proc: Path) -> Iterator[Finding]:
    for name, trouble in SYSCTLS.items():
        path = proc / name
        try:
            ok, advice = path.read_text().strip() == "1", f"{trouble}: run `sysctl -w {_dotted(name)}=1`"
        except OSError:
            module = " after `modprobe br_netfilter`" if "bridge" in name else ""
            ok, advice = False, f"{trouble}: run `sysctl -w {_dotted(name)}=1`{module}"
        yield Finding(f"{_dotted(name)}=1", ok, advice)


def _dotted(name: str) -> str:
    return name.replace("/", ".")
