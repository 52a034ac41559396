"""A rolling update of what serves."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.cluster.hello.conftest import Hello
from tests.cluster.lab.shell import wait
from tests.cluster.running import Doc, name_of, ready
from tests.runtime.shell.conftest import HELLO

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("whole")]


@dataclass
class Seen:
    """Everything that happened meanwhile: after each change of a pod how many were there and Ready, and each answer."""

    pods: dict[str, Doc] = field(default_factory=dict)
    counts: list[tuple[int, int]] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)

    def take(self, line: str) -> None:
        """One line of the watch."""
        event = json.loads(line)
        pod = event["object"]
        if pod["metadata"].get("labels", {}).get("app") != "hello":
            return
        self.pods[name_of(pod)] = pod
        if event["type"] == "DELETED":
            del self.pods[name_of(pod)]
        there = [item for item in self.pods.values() if "deletionTimestamp" not in item["metadata"]]
        self.counts.append((len(there), sum(map(ready, there))))


@contextmanager
def watched(hello: Hello) -> Iterator[Seen]:
    """Watch the pods, and ask the service all the time."""
    seen = Seen()
    watch = hello.watch("/api/v1/namespaces/default/pods")
    assert watch.stdout is not None
    lines = watch.stdout
    reader = threading.Thread(target=lambda: list(map(seen.take, lines)))
    reader.start()
    loop = "rm -f /tmp/end; while [ ! -e /tmp/end ]; do timeout 2 wget -qO- %s 2>/dev/null || echo failed; done"
    client = hello.pod("friend")
    asks = threading.Thread(
        target=lambda: seen.answers.extend(hello.execute(client, "shell", loop % f"http://{hello.address()}/").split())
    )
    asks.start()
    try:
        wait(lambda: len(seen.pods) == 3, "the watch")
        seen.counts.clear()
        yield seen
    finally:
        hello.execute(client, "shell", "touch /tmp/end")
        asks.join()
        watch.terminate()
        reader.join()
        watch.wait()


def version(folder: Path, old: str, new: str) -> Path:
    """The example with a change."""
    path = folder / "hello.yaml"
    path.write_text((HELLO / "hello.yaml").read_text().replace(old, new))
    return path


def images(hello: Hello) -> set[str]:
    """The images of the example's pods."""
    return {pod["spec"]["containers"][0]["image"] for pod in hello.pods("hello")}


def test_an_update_never_has_fewer_than_three_ready_nor_fails_a_request(hello: Hello, tmp_path: Path) -> None:
    old = {name_of(pod) for pod in hello.replicas()}
    with watched(hello) as seen:
        hello.do("apply", "-f", version(tmp_path, "busybox:1.36", "busybox:1.37"))
        wait(lambda: not old & {name_of(pod) for pod in hello.pods("hello")}, "the end of the old pods", seconds=60)
        hello.await_whole()
    assert images(hello) == {"busybox:1.37"}
    assert min(is_ready for _, is_ready in seen.counts) == 3
    assert max(there for there, _ in seen.counts) == 4
    assert "failed" not in seen.answers
    assert set(seen.answers) == old | {name_of(pod) for pod in hello.replicas()}
    print(f"{len(seen.counts)} changes of pods, {len(seen.answers)} requests")
    hello.do("apply", "-f", HELLO)
    wait(lambda: images(hello) == {"busybox:1.36"}, "the way back", 60)


def test_a_version_that_never_gets_ready_leaves_the_old_pods_serving(hello: Hello, tmp_path: Path) -> None:
    old = {name_of(pod) for pod in hello.replicas()}
    with watched(hello) as seen:
        hello.do("apply", "-f", version(tmp_path, "path: /, port", "path: /absent, port"))
        wait(lambda: len(hello.pods("hello")) == 4, "a new pod")
        (new,) = {name_of(pod) for pod in hello.pods("hello")} - old
        wait(lambda: hello.pod(new)["status"].get("phase") == "Running", "it runs")
        wait(lambda: "HTTP status 404" in hello.do("describe", "pod", new), "its probe has failed")
    assert {name_of(pod) for pod in hello.replicas()} == old
    assert {is_ready for _, is_ready in seen.counts} == {3}
    assert set(seen.answers) == old
    hello.do("apply", "-f", HELLO)
