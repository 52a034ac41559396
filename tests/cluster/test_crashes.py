"""`kill -9` of `kdl up` in the middle of a rollout, between any two operations or commits, and a new start.

A few points in each run of the tests; with KDL_EVERY_FAULT=1 all there are, with one replica and with three.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import count, cycle
from pathlib import Path

import pytest

from kdl.effects.docker import names as label
from tests.cluster.lab import Lab
from tests.cluster.running import Running, name_of, ready, uid_of

pytestmark = [pytest.mark.docker, pytest.mark.slow]

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: REPLICAS
  selector: {matchLabels: {app: web}}
  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: web
          image: "busybox:VERSION"
          command: [httpd, -f, -p, "8080"]
          ports: [{containerPort: 8080}]
          readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Pod
metadata: {name: bystander}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: sleep, image: "busybox:1.36", command: [sleep, "100000"]}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
"""

EVERY = os.environ.get("KDL_EVERY_FAULT") == "1"
SAMPLES = 4


@pytest.fixture
def cluster(lab: Lab, tmp_path: Path) -> Iterator[Running]:
    """A cluster that leaves nothing."""
    made = Running(lab.node, tmp_path / "data")
    yield made
    made.do("down", "--purge")
    assert made.left() == ""


def manifest(folder: Path, version: str, replicas: int) -> Path:
    """The deployment in one version, with a pod and a service that stay as they are."""
    path = folder / f"web-{version}.yaml"
    path.write_text(WEB.replace("VERSION", version).replace("REPLICAS", str(replicas)))
    return path


def instances(cluster: Running) -> dict[tuple[str, str], set[str]]:
    """The containers that have not been made in vain, by pod and name."""
    found: dict[tuple[str, str], set[str]] = {}
    for container in cluster.containers():
        if container.status in ("running", "created"):
            at = (container.labels[label.POD_UID], container.labels[label.CONTAINER])
            found.setdefault(at, set()).add(str(container.id))
    return found


def check_nothing_doubled(cluster: Running, replicas: int) -> None:
    """While a rollout is on its way."""
    assert all(len(ids) == 1 for ids in instances(cluster).values())
    assert len({uid for uid, _ in instances(cluster)}) <= replicas + 3  # one more, the bystander, one on its way out


def completed(cluster: Running, version: str, replicas: int) -> bool:
    """All replicas are Ready, of the new version, and serve; nobody else is there."""
    pods = cluster.pods("web")
    images = {pod["spec"]["containers"][0]["image"] for pod in pods}
    addresses = {pod.get("status", {}).get("podIP") for pod in pods}
    there = len(pods) == replicas and all(map(ready, pods)) and images == {f"busybox:{version}"}
    return there and cluster.endpoints("web") == addresses and cluster.idle()


def check_completed(cluster: Running, version: str, replicas: int, before: dict[tuple[str, str], set[str]]) -> None:
    """The rollout has completed; each container of each pod is there once, and who was not concerned is as before."""
    pods, now = cluster.pods(), instances(cluster)
    containers = {(uid_of(pod), name) for pod in pods for name in (pod["spec"]["containers"][0]["name"], "POD")}
    assert now.keys() == containers
    assert all(len(ids) == 1 for ids in now.values())
    assert not [container for container in cluster.containers() if container.status != "running"]
    (bystander,) = [uid_of(pod) for pod in pods if name_of(pod) == "bystander"]
    for name in ("sleep", "POD"):
        assert now[bystander, name] == before[bystander, name], "a healthy container was made anew"
    assert all(status["restartCount"] == 0 for pod in pods for status in pod["status"]["containerStatuses"])
    sets = cluster.items("/apis/apps/v1/namespaces/default/replicasets")
    by_image = Counter(item["spec"]["template"]["spec"]["containers"][0]["image"] for item in sets)
    assert by_image == {"busybox:1.36": 1, "busybox:1.37": 1}
    assert sorted(item["spec"]["replicas"] for item in sets) == [0, replicas]


@pytest.mark.parametrize("replicas", [1, 3] if EVERY else [1])
def test_a_rollout_completes_wherever_kdl_is_killed_in_it(cluster: Running, tmp_path: Path, replicas: int) -> None:
    """At one point of it after another, each time in a rollout of its own."""
    log = tmp_path / "points"
    one, two = manifest(tmp_path, "1.36", replicas), manifest(tmp_path, "1.37", replicas)
    cluster.do("up", "-d", "--wait", "-f", one)
    cluster.kill()
    assert cluster.run_until(partial(completed, cluster, "1.37", replicas), "-f", two, KDL_FAULT_LOG=str(log))
    cluster.kill()
    points = log.read_text().splitlines()
    assert {place.split()[0] for place in points} == {"before", "after", "store:", "table"}
    step = 1 if EVERY else len(points) // SAMPLES
    versions = cycle([("1.36", one), ("1.37", two)])
    for number in count(1 if EVERY else step // 2, step):
        before, (version, path) = instances(cluster), next(versions)
        completes = partial(completed, cluster, version, replicas)
        if cluster.run_until(completes, "-f", path, KDL_FAULT=str(number)):
            break
        print(f"killed at point {number} of about {len(points)}", flush=True)
        check_nothing_doubled(cluster, replicas)
        assert cluster.run_until(completes, "-f", path)
        check_completed(cluster, version, replicas, before)
        cluster.kill()
    print(f"the rollout was over before point {number}")
