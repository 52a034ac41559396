"""How long a full sync of S services with three endpoints takes, and then one change; beside iptables-legacy-restore.

``python tests/bench/iptables.py [S …]`` (root; default 100 and 1000). It works in a network namespace of its own.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

NAMESPACE = f"kdl-bench-{os.getpid()}"
REPEATS = 5


def chains(services: int, endpoints: int = 3) -> Iterator[tuple[str, list[dict[str, object]]]]:
    """The chains of S services: eleven rules for each, as the network pack derives them."""
    yield "SERVICES", [
        {"match": {"destination": f"10.96.{s >> 8}.{s & 255}/32", "protocol": "tcp", "dport": 80},
         "target": f"SVC-{s:012X}", "comment": f"default/web-{s}:http"}
        for s in range(services)
    ]  # fmt: skip
    for s in range(services):
        vip = f"10.96.{s >> 8}.{s & 255}/32"
        service: list[dict[str, object]] = [
            {"match": {"notSource": "10.244.0.0/14", "destination": vip}, "target": "MARK",
             "params": {"setXmark": "0x4000/0x4000"}, "comment": f"default/web-{s}:http from outside the pod network"}
        ]  # fmt: skip
        for e in range(endpoints):
            ip = f"10.244.{(s * endpoints + e) >> 8}.{(s * endpoints + e) & 255}"
            left = endpoints - e
            service.append({
                "match": {"probability": f"{1 / left:.10f}"} if left > 1 else {}, "target": f"SEP-{s:08X}{e:04X}",
                "comment": f"default/web-{s}:http -> {ip}:8080",
            })  # fmt: skip
            yield f"SEP-{s:08X}{e:04X}", [
                {"match": {"source": f"{ip}/32"}, "target": "MARK", "params": {"setXmark": "0x4000/0x4000"},
                 "comment": f"default/web-{s}:http hairpin"},
                {"match": {"protocol": "tcp"}, "target": "DNAT", "params": {"toDestination": f"{ip}:8080"},
                 "comment": f"default/web-{s}:http"},
            ]  # fmt: skip
        yield f"SVC-{s:012X}", service


def milliseconds(act: Callable[[], object]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    act()
    return (time.perf_counter() - start) * 1000


def measure(services: int) -> None:
    """Print one line for each way."""
    from kdl.effects.driver import Cause, Operation
    from kdl.effects.iptables import IptablesDriver
    from kdl.fact import row

    driver = IptablesDriver("n1", "abcd")
    cause = Cause("bench", "measured")
    rows = [row(("n1", "nat", chain, rules)) for chain, rules in chains(services)]
    operations = [Operation("create", "network.chain", r[:3], r, None, cause) for r in rows]
    full, one, look, restore, restore_one = [], [], [], [], []

    def perform(batch: list[Operation]) -> None:
        failed = [outcome.error for outcome in driver.perform_all(batch) if outcome.error]
        assert not failed, failed[:3]

    for _ in range(REPEATS):
        driver.cleanup()
        full.append(milliseconds(lambda: perform(operations)))
        look.append(milliseconds(driver.observe))
        one.append(milliseconds(lambda: perform(operations[-1:])))
    saved = subprocess.run(["iptables-legacy-save", "-t", "nat"], capture_output=True, text=True, check=True).stdout
    own = [line for line in saved.splitlines() if line.startswith((":KDL", "-A KDL", "*", "COMMIT"))]
    last = "KDL-abcd-" + str(operations[-1].key[2])
    single = ["*nat", f":{last} - [0:0]", *[line for line in own if line.startswith(f"-A {last} ")], "COMMIT"]

    def load(lines: list[str]) -> None:
        text = "\n".join([*lines, ""])
        subprocess.run(["iptables-legacy-restore", "--noflush", "-w"], input=text, text=True, check=True)

    for _ in range(REPEATS):
        driver.cleanup()
        restore.append(milliseconds(lambda: load(own)))
        restore_one.append(milliseconds(lambda: load(single)))
    driver.cleanup()
    for name, times in (
        ("kdl, full sync", full), ("iptables-legacy-restore, full sync", restore),
        ("kdl, one chain", one), ("iptables-legacy-restore, one chain", restore_one), ("kdl, observe", look),
    ):  # fmt: skip
        print(f"{services:6} services  {name:36} {statistics.median(times):8.1f} ms (median of {len(times)})")


def main() -> None:
    """Make the namespace, measure in it, remove it."""
    if os.environ.get("KDL_BENCH_NAMESPACE"):
        for services in [int(word) for word in sys.argv[1:]] or [100, 1000]:
            measure(services)
        return
    subprocess.run(["ip", "netns", "add", NAMESPACE], check=True)
    try:
        command = ["ip", "netns", "exec", NAMESPACE, sys.executable, __file__, *sys.argv[1:]]
        subprocess.run(command, check=True, env={**os.environ, "KDL_BENCH_NAMESPACE": NAMESPACE})
    finally:
        subprocess.run(["ip", "netns", "del", NAMESPACE], check=True)


if __name__ == "__main__":
    main()
