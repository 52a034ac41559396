"""The docker driver against a real dockerd, in a lab node."""

from __future__ import annotations

import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from kdl.effects.docker import DockerDriver, connect_to
from kdl.effects.docker import names as label
from kdl.effects.driver import Driver
from kdl.fact import FALSE, TRUE, Row, digest, value
from tests.cluster.lab import Lab
from tests.cluster.lab.shell import wait
from tests.cluster.pods import Pod, do, make_container, make_sandbox, operation, reconcile, seen

pytestmark = pytest.mark.docker


@pytest.fixture
def client(lab: Lab) -> Iterator[docker.DockerClient]:
    """A Docker client of the test's own."""
    made = docker.DockerClient(base_url=lab.node.docker)
    yield made
    made.close()


def driver_of(lab: Lab) -> DockerDriver:
    """A driver of a new cluster."""
    return DockerDriver(
        lab.node.name, str(uuid.uuid4()), lab.node.pod_cidr, lab.node.address, connect_to(lab.node.docker)
    )


@pytest.fixture
def driver(lab: Lab) -> Iterator[DockerDriver]:
    """A driver of a cluster of its own, removed afterwards."""
    made: Driver = driver_of(lab)
    assert isinstance(made, DockerDriver)
    yield made
    made.cleanup()


def ours(client: docker.DockerClient, driver: DockerDriver) -> list[Container]:
    """All containers of the driver's cluster."""
    return client.containers.list(all=True, filters={"label": f"{label.CLUSTER}={driver.names.cluster}"})


def test_two_containers_of_a_pod_share_localhost_address_and_hostname(driver: DockerDriver) -> None:
    """What one serves on 127.0.0.1 the other reads."""
    pod = Pod(driver.node)
    sandbox = make_sandbox(driver, pod)
    assert sandbox[4] == "10.244.1.2"
    serve = "mkdir /tmp/w; hostname > /tmp/w/index.html; exec httpd -f -p 127.0.0.1:8080 -h /tmp/w"
    make_container(driver, pod, str(sandbox[3]), "server", command=["sh", "-c", serve])
    reader = make_container(driver, pod, str(sandbox[3]), "reader")
    fetch = "until wget -qO- http://127.0.0.1:8080/; do sleep 0.1; done; hostname; ip -4 -o addr show eth0"
    code, output = driver.execute(str(reader[5]), ["sh", "-c", fetch], 5)
    assert code == 0
    assert output.splitlines()[:2] == ["web-0", "web-0"]
    assert "10.244.1.2/24" in output


def test_names_and_labels_lead_back_to_the_pod_and_the_rule(driver: DockerDriver, client: docker.DockerClient) -> None:
    """Who looks at Docker finds out why a container is there."""
    pod = Pod(driver.node)
    sandbox = make_sandbox(driver, pod, labels={"team": "a", label.CLUSTER: "another"})
    container = make_container(driver, pod, str(sandbox[3]))
    wanted = pod.container(str(sandbox[3]))
    found = client.containers.get(f"kdl-{driver.names.cluster[:8]}-{pod.uid}-app-0")
    assert found.id == container[5]
    stop = found.labels.pop(label.STOP)
    assert stop == '{"grace":0,"preStop":null}'
    assert found.labels == {
        "kdl.dev/cluster": driver.names.cluster, "kdl.dev/node": driver.node, "kdl.dev/role": "container",
        "kdl.dev/pod": "default/web-0", "kdl.dev/pod-uid": pod.uid, "kdl.dev/container": "app", "kdl.dev/attempt": "0",
        "kdl.dev/hash": digest(wanted), "kdl.dev/notes": '{"backoff":0}',
        "kdl.dev/cause": f"node.container: app of Pod default/web-0 runs on {driver.node}",
    }  # fmt: skip
    pause = client.containers.get(str(sandbox[3])).labels
    assert (pause["team"], pause[label.CLUSTER]) == ("a", driver.names.cluster)


def test_observed_rows_have_the_relations_columns(driver: DockerDriver) -> None:
    """Sandbox and container rows are as `policies/node/docker.dl` declares them."""
    pod, before = Pod(driver.node), int(time.time() * 1000)
    sandbox = make_sandbox(driver, pod)
    container = make_container(driver, pod, str(sandbox[3]))
    node, uid, hash_, _, ip, running, created, notes = sandbox
    assert (node, uid, hash_, ip) == (driver.node, pod.uid, digest(pod.sandbox()), "10.244.1.2")
    assert (running, notes) == (TRUE, value({"attempt": 0}))
    assert isinstance(created, int)
    assert before - 1000 <= created <= time.time() * 1000
    (_, _, name, hash_, attempt, _, image, state, code, oom, started, finished, sandbox_id, notes) = container
    assert (name, hash_, attempt) == ("app", digest(pod.container(str(sandbox[3]))), 0)
    assert (state, code, oom, finished) == ("running", None, FALSE, None)
    assert (sandbox_id, notes) == (sandbox[3], value({"backoff": 0}))
    assert str(image).startswith("sha256:")
    assert isinstance(started, int)
    assert before <= started <= time.time() * 1000


def test_a_killed_container_is_observed_as_exited_and_its_run_is_not_repeated(
    driver: DockerDriver, client: docker.DockerClient
) -> None:
    """Whether it runs again is for rules to say."""
    pod = Pod(driver.node)
    sandbox = make_sandbox(driver, pod)
    container = make_container(driver, pod, str(sandbox[3]))
    client.containers.get(str(container[5])).kill()
    wait(lambda: seen(driver, "docker.container")[(pod.uid, "app")][7] == "exited", "the end")
    ended = seen(driver, "docker.container")[(pod.uid, "app")]
    assert ended[8] == 137
    assert isinstance(ended[11], int)
    wanted = pod.container(str(sandbox[3]))
    do(driver, "create", "node.container", wanted[:3], wanted)
    assert seen(driver, "docker.container")[(pod.uid, "app")] == ended


def test_a_container_out_of_memory_is_observed_as_such(driver: DockerDriver) -> None:
    """The memory limit is the kernel's."""
    pod = Pod(driver.node)
    sandbox = make_sandbox(driver, pod)
    eat = ["sh", "-c", "tail /dev/zero"]
    make_container(driver, pod, str(sandbox[3]), command=eat, resources={"cpuShares": 2, "memory": 8 << 20})
    wait(lambda: seen(driver, "docker.container")[(pod.uid, "app")][7] == "exited", "the end")
    ended = seen(driver, "docker.container")[(pod.uid, "app")]
    assert ended[8:10] == (137, TRUE)


def test_the_next_attempt_replaces_a_run_and_keeps_its_logs(driver: DockerDriver, client: docker.DockerClient) -> None:
    """Exactly the last run is observed; the one before it is kept, older ones are not."""
    pod = Pod(driver.node)
    sandbox = str(make_sandbox(driver, pod)[3])
    for attempt in range(3):
        wanted = pod.container(sandbox, attempt=attempt, command=["echo", f"run {attempt}"])
        do(driver, "create" if attempt == 0 else "replace", "node.container", wanted[:3], wanted)
        wait(lambda: seen(driver, "docker.container")[(pod.uid, "app")][7] == "exited", "the end")
        assert seen(driver, "docker.container")[(pod.uid, "app")][4] == attempt
    assert b"".join(driver.logs(pod.uid, "app")) == b"run 2\n"
    assert b"".join(driver.logs(pod.uid, "app", previous=True)) == b"run 1\n"
    assert len(ours(client, driver)) == 3
    do(driver, "remove", "node.container", wanted[:3])
    assert len(ours(client, driver)) == 1


def test_a_lost_pause_container_is_observed_and_a_new_one_gets_its_place(
    driver: DockerDriver, client: docker.DockerClient
) -> None:
    """Killed, it is not running; removed, it is not there; the next sandbox takes the pod's containers away first."""
    pod = Pod(driver.node)
    sandbox = make_sandbox(driver, pod)
    make_container(driver, pod, str(sandbox[3]))
    client.containers.get(str(sandbox[3])).kill()
    wait(lambda: seen(driver, "docker.sandbox")[(pod.uid,)][5] == FALSE, "the end")
    wanted = pod.sandbox(notes={"attempt": 1})
    do(driver, "replace", "node.sandbox", wanted[:2], wanted)
    second = seen(driver, "docker.sandbox")[(pod.uid,)]
    assert second[3] != sandbox[3]
    assert second[5] == TRUE
    assert seen(driver, "docker.container") == {}
    client.containers.get(str(second[3])).remove(force=True)
    assert seen(driver, "docker.sandbox") == {}


@pytest.mark.parametrize("started", [False, True])
def test_a_container_made_before_a_crash_is_adopted(
    lab: Lab, driver: DockerDriver, client: docker.DockerClient, started: bool
) -> None:
    """What was created but not started is started, what runs goes on: the same container, not another."""
    pod = Pod(driver.node)
    sandbox = str(make_sandbox(driver, pod)[3])
    made = make_container(driver, pod, sandbox)
    if not started:
        body = client.api.inspect_container(str(made[5]))
        client.api.remove_container(str(made[5]), force=True)
        again = {**body["Config"], "HostConfig": body["HostConfig"]}
        again.pop("Hostname")
        docker_api: Any = client.api
        docker_api.create_container_from_config(again, body["Name"].removeprefix("/"))
        assert seen(driver, "docker.container")[(pod.uid, "app")][3] == ""
    before = client.containers.get(f"{driver.names.prefix}-{pod.uid}-app-0").id
    wanted = pod.container(sandbox)
    do(driver, "replace", "node.container", wanted[:3], wanted)
    after = seen(driver, "docker.container")[(pod.uid, "app")]
    assert (after[5], after[7], after[3]) == (before, "running", digest(wanted))


def test_a_container_of_another_configuration_is_made_anew(driver: DockerDriver) -> None:
    """The same name, another hash."""
    pod = Pod(driver.node)
    sandbox = str(make_sandbox(driver, pod)[3])
    first = make_container(driver, pod, sandbox)
    second = make_container(driver, pod, sandbox, env=[{"name": "COLOR", "value": "blue"}])
    assert second[5] != first[5]
    assert driver.execute(str(second[5]), ["sh", "-c", "echo $COLOR"], 5) == (0, "blue\n")


def test_what_kdl_did_not_make_is_neither_seen_nor_touched(lab: Lab, client: docker.DockerClient) -> None:
    """Not a stranger's container, not another cluster's, not even under the name that we would give."""
    mine, other, pod = driver_of(lab), driver_of(lab), Pod(lab.node.name)
    stranger = client.containers.run("busybox:1.36", ["sleep", "100"], detach=True, network_mode="none",
                                     name=f"{mine.names.prefix}-{pod.uid}-POD-0")  # fmt: skip
    try:
        assert seen(mine, "docker.sandbox") == {}
        outcome = mine.perform(operation("create", "node.sandbox", pod.sandbox()[:2], pod.sandbox()))
        assert "is taken by a container that this kdl did not make" in str(outcome.error)
        mine.perform(operation("remove", "node.sandbox", pod.sandbox()[:2]))
        mine.cleanup()
        their_pod = Pod(lab.node.name)
        make_sandbox(other, their_pod)
        assert seen(mine, "docker.sandbox") == {}
        mine.cleanup()
        assert len(seen(other, "docker.sandbox")) == 1
        stranger.reload()
        assert stranger.status == "running"
    finally:
        stranger.remove(force=True)
        other.cleanup()


def test_a_missing_image_is_a_clear_error(driver: DockerDriver) -> None:
    """It says which image, and whether it could not be pulled or must not be."""
    pod = Pod(driver.node)
    sandbox = str(make_sandbox(driver, pod)[3])
    absent = pod.container(sandbox, image="registry.invalid/none:1")
    error = str(driver.perform(operation("create", "node.container", absent[:3], absent)).error)
    assert error.startswith("image `registry.invalid/none:1` is not here and cannot be pulled: ")
    never = pod.container(sandbox, image="registry.invalid/none:1", imagePullPolicy="Never")
    error = str(driver.perform(operation("create", "node.container", never[:3], never)).error)
    assert error == "image `registry.invalid/none:1` is not here and its pull policy is Never"


def test_a_command_that_cannot_start_is_an_error_and_leaves_nothing(
    driver: DockerDriver, client: docker.DockerClient
) -> None:
    """Docker's own words reach the user."""
    pod = Pod(driver.node)
    sandbox = str(make_sandbox(driver, pod)[3])
    wanted = pod.container(sandbox, command=["/no/such/program"])
    error = str(driver.perform(operation("create", "node.container", wanted[:3], wanted)).error)
    assert "/no/such/program" in error
    assert len(ours(client, driver)) == 1


def test_a_container_that_must_not_run_as_root_is_refused_unless_it_has_a_user(driver: DockerDriver) -> None:
    """The image's own user is root."""
    pod = Pod(driver.node)
    sandbox = str(make_sandbox(driver, pod)[3])
    wanted = pod.container(sandbox, securityContext={"runAsNonRoot": True})
    assert "runAsNonRoot" in str(driver.perform(operation("create", "node.container", wanted[:3], wanted)).error)
    context = {"runAsNonRoot": True, "runAsUser": 65534, "readOnlyRootFilesystem": True}
    made = make_container(driver, pod, sandbox, securityContext=context)
    code, output = driver.execute(str(made[5]), ["sh", "-c", "id -u; touch /x 2>&1"], 5)
    assert code != 0
    assert output.splitlines()[0] == "65534"
    assert "Read-only file system" in output


def test_a_stop_runs_the_hook_and_then_sends_sigterm(driver: DockerDriver) -> None:
    """Both leave a line in the log, in this order, and the container stays as it ended."""
    pod = Pod(driver.node)
    sandbox = str(make_sandbox(driver, pod)[3])
    script = "trap 'echo term; exit 3' TERM; echo up; while :; do sleep 0.05; done"
    hook = {"exec": {"command": ["sh", "-c", "echo hook > /proc/1/fd/1"]}}
    made = make_container(
        driver, pod, sandbox, command=["sh", "-c", script], terminationGracePeriodSeconds=10, preStop=hook
    )
    wait(lambda: b"up" in b"".join(driver.logs(pod.uid, "app")), "its start")
    row: Row = (driver.node, pod.uid, "app", made[5], "a test", 10)
    do(driver, "run", "node.stop", (*row[:3], 10), row)
    ended = seen(driver, "docker.container")[(pod.uid, "app")]
    assert (ended[5], ended[7], ended[8]) == (made[5], "exited", 3)
    assert b"".join(driver.logs(pod.uid, "app")) == b"up\nhook\nterm\n"


def test_a_container_that_ignores_sigterm_is_killed_after_its_grace(driver: DockerDriver) -> None:
    """Its grace is known although its manifest is gone."""
    pod = Pod(driver.node)
    sandbox = str(make_sandbox(driver, pod)[3])
    made = make_container(driver, pod, sandbox, terminationGracePeriodSeconds=1)  # PID 1 ignores what it does not trap
    began = time.monotonic()
    do(driver, "remove", "node.container", made[:3])
    assert 0.9 < time.monotonic() - began < 5
    assert seen(driver, "docker.container") == {}


def test_logs_of_a_running_container_can_be_followed_and_cut(driver: DockerDriver) -> None:
    """New lines come as they are printed; `tail` gives the last ones."""
    pod = Pod(driver.node)
    sandbox = str(make_sandbox(driver, pod)[3])
    count = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.02; done"
    make_container(driver, pod, sandbox, command=["sh", "-c", count])
    stream = driver.logs(pod.uid, "app", follow=True)
    text = b""
    while b"line 5\n" not in text:
        text += next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert text.startswith(b"line 1\n")
    assert len(b"".join(driver.logs(pod.uid, "app", tail=2)).splitlines()) == 2
    with pytest.raises(LookupError, match="no previous run"):
        driver.logs(pod.uid, "app", previous=True)


def test_events_wake_and_probes_do_not(driver: DockerDriver, client: docker.DockerClient) -> None:
    """The end of a container is told at once; a command in it is none of the loop's business."""
    pod = Pod(driver.node)
    made = make_container(driver, pod, str(make_sandbox(driver, pod)[3]))
    woken = threading.Event()
    stop = driver.listen(woken.set)
    try:
        assert woken.wait(5)
        time.sleep(0.2)
        woken.clear()
        driver.execute(str(made[5]), ["true"], 5)
        assert not woken.wait(0.3)
        client.containers.get(str(made[5])).kill()
        assert woken.wait(2)
    finally:
        stop()


def test_what_an_event_tells_of_is_seen_by_a_look_at_once(driver: DockerDriver, client: docker.DockerClient) -> None:
    """Docker's list is behind its events; whoever looks once after an end must see it, as nothing wakes him again."""
    pod = Pod(driver.node)
    sandbox = make_sandbox(driver, pod)
    states: list[tuple[Any, Any]] = []

    def look() -> None:
        states.append(
            (seen(driver, "docker.container")[(pod.uid, "app")][7], seen(driver, "docker.sandbox")[(pod.uid,)][5])
        )

    stop = None
    try:
        for attempt in range(8):
            made = make_container(driver, pod, str(sandbox[3]), attempt=attempt)
            stop = stop or driver.listen(look)
            wait(lambda: states and states[-1][0] == "running", "its start")
            told = len(states)
            client.containers.get(str(made[5])).kill()
            wait(lambda told=told: len(states) > told, "the event")  # type: ignore[misc]
            time.sleep(0.1)
            assert states[-1] == ("exited", TRUE)
        client.containers.get(str(sandbox[3])).kill()
        wait(lambda: states[-1][1] == FALSE, "the sandbox's end")
    finally:
        if stop is not None:
            stop()


def test_a_frozen_dockerd_is_noticed_in_time_and_nothing_is_taken_for_absent(lab: Lab, driver: DockerDriver) -> None:
    """Blind within ten seconds, although no event says so; thawed, it is woken again and all is as before."""
    pod = Pod(driver.node)
    make_container(driver, pod, str(make_sandbox(driver, pod)[3]))
    before = set(driver.observe().facts)
    blind: list[float] = []
    woken = threading.Event()
    stop = driver.listen(woken.set)
    try:
        assert woken.wait(5)
        time.sleep(0.2)
        woken.clear()
        lab.node.signal_docker("STOP")
        began = time.monotonic()
        assert woken.wait(10)
        observation = driver.observe()
        blind.append(time.monotonic() - began)
        assert "Docker does not answer" in str(observation.blind)
        assert not list(observation.facts)
        assert blind[0] < 12
        woken.clear()
        lab.node.signal_docker("CONT")
        assert woken.wait(10)
        assert set(driver.observe().facts) == before
    finally:
        lab.node.signal_docker("CONT")
        stop()


def test_a_dead_dockerd_blinds_and_its_return_is_heard(lab: Lab, driver: DockerDriver) -> None:
    """Containers go on meanwhile and are the same afterwards."""
    pod = Pod(driver.node)
    make_container(driver, pod, str(make_sandbox(driver, pod)[3]))
    before = set(driver.observe().facts)
    woken = threading.Event()
    stop = driver.listen(woken.set)
    try:
        lab.node.stop_docker()
        assert driver.observe().blind is not None
        outcome = driver.perform(operation("remove", "node.sandbox", pod.sandbox()[:2]))
        assert outcome.error is not None
        lab.node.start_docker()
        wait(lambda: driver.observe().blind is None, "sight")
        assert set(driver.observe().facts) == before
        woken.clear()
        lab.node.run("docker", "kill", str(next(iter(seen(driver, "docker.container").values()))[5]))
        assert woken.wait(5)
    finally:
        lab.node.start_docker()
        stop()


def test_cleanup_leaves_nothing_of_the_cluster(lab: Lab, client: docker.DockerClient) -> None:
    """No container, no network, no bridge, no image."""
    driver, pod = driver_of(lab), Pod(lab.node.name)
    make_container(driver, pod, str(make_sandbox(driver, pod)[3]))
    assert driver.names.network in lab.node.run("ip", "-br", "link")
    driver.cleanup()
    assert ours(client, driver) == []
    assert driver.names.network not in [network.name for network in client.networks.list()]
    assert driver.names.network not in lab.node.run("ip", "-br", "link")
    assert client.images.list("kdl/pause") == []


def test_a_lost_network_and_image_are_made_again(driver: DockerDriver, client: docker.DockerClient) -> None:
    """Somebody pruned; the next pod does not care."""
    first = Pod(driver.node)
    make_sandbox(driver, first)
    do(driver, "remove", "node.sandbox", first.sandbox()[:2])
    client.networks.get(driver.names.network).remove()
    client.images.remove(client.images.list("kdl/pause")[0].tags[0])
    assert make_sandbox(driver, Pod(driver.node))[5] == TRUE


def test_many_pods_can_be_made_at_once(driver: DockerDriver) -> None:
    """Operations come from several threads; the first ones race for the network and the pause image."""
    pods = [Pod(driver.node, f"web-{number}") for number in range(6)]
    threads = [threading.Thread(target=make_sandbox, args=(driver, pod)) for pod in pods]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    rows = seen(driver, "docker.sandbox").values()
    assert len({row[4] for row in rows}) == len(pods)


def test_a_pod_of_the_host_network_has_the_nodes_address_and_name(lab: Lab, driver: DockerDriver) -> None:
    """It sees the node's interfaces."""
    pod = Pod(driver.node)
    sandbox = make_sandbox(driver, pod, hostNetwork=True)
    assert sandbox[4] == lab.node.address
    made = make_container(driver, pod, str(sandbox[3]))
    code, output = driver.execute(str(made[5]), ["sh", "-c", "hostname; ip -4 -o addr show eth0"], 5)
    assert code == 0
    assert output.startswith(f"{lab.node.name}\n")
    assert f"{lab.node.address}/24" in output


class Killed(BaseException):
    """The end of the process, as far as what it was doing is concerned."""


class Mortal:
    """A Docker client whose user dies just after its n-th call that changes something."""

    CHANGES = ("create_container_from_config", "start", "stop", "remove_container", "create_network", "load_image")

    def __init__(self, client: Any, budget: list[int]) -> None:
        self._client, self._budget = client, budget

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if name not in self.CHANGES:
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            answer = found(*args, **kwargs)
            self._budget[0] -= 1
            if self._budget[0] == 0:
                raise Killed
            return answer

        return call


def mortal(lab: Lab, cluster: str, calls: int) -> DockerDriver:
    """A driver that dies after its n-th change."""
    budget = [calls]
    connect = connect_to(lab.node.docker)
    reach: Callable[[float | None], Any] = lambda timeout: Mortal(connect(timeout), budget)  # noqa: E731
    return DockerDriver(lab.node.name, cluster, lab.node.pod_cidr, connect=reach)


def settle(driver: DockerDriver, pod: Pod, attempt: int, image: str) -> None:
    """Reconcile until the pod is there; its container joins the sandbox that is there."""
    for _ in range(10):
        there = seen(driver, "docker.sandbox").get((pod.uid,))
        desired = {"node.sandbox": [pod.sandbox(notes={"attempt": attempt})]}
        if there is not None and there[5] == TRUE and there[2] == digest(desired["node.sandbox"][0]):
            desired["node.container"] = [pod.container(str(there[3]), "app", attempt, image=image)]
        if not reconcile(driver, desired) and "node.container" in desired:
            return
    raise AssertionError("it does not settle")


@pytest.mark.slow
def test_death_after_any_change_doubles_nothing(lab: Lab, client: docker.DockerClient) -> None:
    """A pod is made and then made anew; whichever change of Docker's world is the last, the next start completes it."""
    calls = 1
    while True:
        pod, cluster = Pod(lab.node.name), str(uuid.uuid4())
        driver = mortal(lab, cluster, calls)
        try:
            settle(driver, pod, 0, "busybox:1.36")
            settle(driver, pod, 1, "busybox:1.37")
            died = False
        except Killed:
            died = True
        heir = DockerDriver(lab.node.name, cluster, lab.node.pod_cidr, connect=connect_to(lab.node.docker))
        try:
            settle(heir, pod, 1, "busybox:1.37")
            found = [(c.labels[label.CONTAINER], c.labels[label.ATTEMPT], c.status) for c in ours(client, heir)]
            assert sorted(found) == [(name, "1", "running") for name in ("POD", "app")], f"after {calls} calls"
            assert len([n for n in client.networks.list() if n.name == heir.names.network]) == 1
        finally:
            heir.cleanup()
        if not died:
            break
        calls += 1
    assert calls > 10


def test_probes_of_a_node_reach_its_pods(lab: Lab, driver: DockerDriver) -> None:
    """From inside the node: exec, httpGet and tcpSocket, each good and bad; a command that hangs is ended."""
    pod = Pod(driver.node)
    sandbox = make_sandbox(driver, pod)
    serve = "mkdir /tmp/w; echo ok > /tmp/w/ready; exec httpd -f -p 8080 -h /tmp/w"
    made = make_container(driver, pod, str(sandbox[3]), command=["sh", "-c", serve])
    script = Path(__file__).with_name("probe_here.py")
    printed = lab.node.run(sys.executable, str(script), str(made[5]), str(sandbox[4]))
    assert printed.splitlines() == [
        "exec true: True ",
        "exec false: False exit code 1: no",
        "exec hang: False no answer within 0.5 s",
        "exec gone: False exit code 126: OCI runtime exec failed: ",
        "http ready: True ",
        "http absent: False HTTP status 404",
        "tcp open: True ",
        "tcp closed: False [Errno 111] Connection refused",
    ]
    assert "4321" not in lab.node.run("docker", "top", str(made[5]))
