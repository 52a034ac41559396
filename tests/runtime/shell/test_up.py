"""`kdl up` and `kdl down` on the fake runtime."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from pathlib import Path

import pytest

from kdl.runtime.store.folder import owner
from tests.runtime.shell.conftest import HELLO, ROOT, Kdl, end, eventually, start

WRONG_MANIFESTS = sorted((ROOT / "tests/diagnostics/manifests").glob("*.yaml"))
WRONG_PROGRAMS = sorted((ROOT / "tests/diagnostics/programs").glob("*.dl"))


def replicas(folder: Path, count: int) -> Path:
    """The first example with so many replicas, under the same file name."""
    text = (HELLO / "hello.yaml").read_text().replace("replicas: 3", f"replicas: {count}")
    path = folder / "hello.yaml"
    path.write_text(text)
    return path


def names(kdl: Kdl) -> set[str]:
    return set(kdl("get", "pods", "-o", "name").out.split())


def places(kdl: Kdl) -> dict[str, str]:
    """The node of each pod, by uid."""
    pods = json.loads(kdl("get", "pods", "-o", "json").out)["items"]
    return {pod["metadata"]["uid"]: pod["spec"]["nodeName"] for pod in pods}


def test_detached_it_returns_when_all_deployments_are_available(kdl: Kdl, folder: Path) -> None:
    said = kdl("up", "--runtime", "fake", "-d", "--wait", "-f", HELLO)
    assert said.code == 0, said
    assert "fake runtime with node node-1" in said.out
    (deployment,) = json.loads(kdl("get", "deploy", "-o", "json").out)["items"]
    assert deployment["status"]["availableReplicas"] == 3


def test_in_the_foreground_each_operation_is_a_line_with_its_cause(kdl: Kdl, folder: Path) -> None:
    up = start("up", "--runtime", "fake", "-f", HELLO, "--data", folder)
    assert up.stdout is not None
    lines = []
    for line in up.stdout:
        lines.append(line.rstrip())
        if line.startswith("at rest: 3"):
            break
    up.send_signal(signal.SIGINT)
    assert up.wait(20) == 0
    assert lines[0] == "runtime fake: as asked for"
    assert lines[-1] == "at rest: 3 Running"
    operations = [line for line in lines if line.startswith("#")]
    assert [line.partition(" ")[0] for line in operations] == [f"#{n + 1}" for n in range(len(operations))]
    created = [line for line in operations if "node.container:" in line]
    assert len(created) == 3
    assert all("create, " in line and ".dl:" in line for line in created)
    up.stdout.close()


def test_it_goes_on_when_nobody_reads_what_it_tells_any_more(kdl: Kdl, folder: Path) -> None:
    """As in ``kdl up | head``."""
    up = start("up", "--runtime", "fake", "--data", folder)
    assert up.stdout is not None
    for line in up.stdout:
        if line.startswith("at rest"):
            break
    up.stdout.close()
    assert kdl("apply", "-f", HELLO).code == 0
    eventually(lambda: kdl("get", "pods").out.count("Running") == 3)
    assert kdl("apply", "-f", replicas(folder, 4)).code == 0
    eventually(lambda: len(names(kdl)) == 4)
    up.send_signal(signal.SIGTERM)
    assert up.wait(20) == 0


def test_stopping_withdraws_the_endpoint_and_frees_the_folder(kdl: Kdl, folder: Path) -> None:
    assert kdl("up", "--runtime", "fake", "-d").code == 0
    assert (folder / "endpoint").exists()
    end(folder)
    assert not (folder / "endpoint").exists()
    said = kdl("get", "pods")
    assert said.code == 1
    assert "no kdl is running" in said.err


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_goes_on_with_the_same_pods(kdl: Kdl, folder: Path, how: signal.Signals) -> None:
    assert kdl("up", "--runtime", "fake", "--nodes", 2, "-d", "--wait", "-f", HELLO).code == 0
    before = places(kdl)
    pid = owner(folder)
    assert pid is not None
    os.kill(pid, how)
    eventually(lambda: owner(folder) is None)
    said = kdl("up", "-d", "--wait")
    assert said.code == 0, said
    assert "2 nodes" in said.out
    assert places(kdl) == before


def test_a_second_up_with_a_changed_manifest_updates(kdl: Kdl, folder: Path, tmp_path: Path) -> None:
    assert kdl("up", "--runtime", "fake", "-d", "--wait", "-f", replicas(tmp_path, 3)).code == 0
    before = names(kdl)
    end(folder)
    said = kdl("up", "-d", "--wait", "-f", replicas(tmp_path, 2))
    assert "deployment.apps/hello configured" in said.out
    assert "service/hello unchanged" in said.out
    eventually(lambda: len(names(kdl)) == 2)
    assert names(kdl) < before


def test_one_that_dies_while_starting_is_told_and_the_next_goes_on(
    kdl: Kdl, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KDL_FAULT", "5")
    said = kdl("up", "--runtime", "fake", "-d", "--wait", "-f", HELLO)
    assert said.code == 1
    assert "kdl did not start" in said.err
    monkeypatch.delenv("KDL_FAULT")
    assert kdl("up", "-d", "--wait", "-f", HELLO).code == 0
    assert len(names(kdl)) == 3


def test_two_on_one_folder_are_refused(kdl: Kdl, folder: Path) -> None:
    assert kdl("up", "--runtime", "fake", "-d").code == 0
    for words in ([], ["-d"]):
        said = kdl("up", "--runtime", "fake", *words)
        assert said.code == 1
        assert f"is in use by process {owner(folder)}" in said.err
        assert said.err.count("\n") == 1


def test_a_cluster_in_memory_does_not_become_one_of_containers(kdl: Kdl, folder: Path) -> None:
    assert kdl("up", "--runtime", "fake", "-d").code == 0
    end(folder)
    said = kdl("up", "--runtime", "docker")
    assert said.code == 1
    assert "runs on the fake runtime" in said.err


@pytest.mark.parametrize("path", WRONG_MANIFESTS[::8], ids=lambda path: path.stem)
def test_a_wrong_manifest_starts_nothing(kdl: Kdl, folder: Path, path: Path) -> None:
    said = kdl("up", "--runtime", "fake", "-f", HELLO, "-f", path)
    assert said.code == 2
    assert said.err.startswith("error[KDL")
    assert not folder.exists()


@pytest.mark.parametrize("path", WRONG_PROGRAMS[4:20:8], ids=lambda path: path.stem)
def test_a_wrong_pack_starts_nothing(kdl: Kdl, folder: Path, path: Path) -> None:
    said = kdl("up", "--runtime", "fake", "-r", path, "-d")
    assert said.code == 2
    assert said.err.startswith("error[KDL")
    assert not folder.exists()


@pytest.mark.parametrize(
    "words",
    [
        ["--nodes", 0],
        ["--nodes", 2, "--runtime", "docker"],
        ["--runtime", "fake", "--pod-cidr", "10.0.0.0/24"],
        ["--runtime", "docker", "--pod-cidr", "10.0.0.300/24"],
        ["--runtime", "docker", "--pod-cidr", "10.0.0.0/31"],
        ["--wait"],
        ["-f"],
        ["-f", "no-such-file.yaml"],
        ["-r", "no-such-pack"],
    ],
    ids=lambda words: " ".join(map(str, words)),
)
def test_options_that_make_no_sense_start_nothing(kdl: Kdl, folder: Path, words: list[object]) -> None:
    assert kdl("up", *words).code == 2
    assert not folder.exists()


def test_docker_where_nobody_answers_is_refused_and_leaves_nothing(
    kdl: Kdl, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    said = kdl("up", "--runtime", "docker")
    assert said.code == 1
    assert "nobody answers at unix:///nonexistent/docker.sock" in said.err
    assert not folder.exists()


def test_auto_says_why_it_is_not_docker(kdl: Kdl, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    assert kdl("up", "-d").code == 0
    log = (folder / "up.log").read_text().splitlines()
    assert log[0].startswith("runtime fake: containers in memory (missing: ")


def test_down_ends_the_process_and_keeps_the_objects(kdl: Kdl, folder: Path) -> None:
    assert kdl("up", "--runtime", "fake", "-d", "--wait", "-f", HELLO).code == 0
    assert kdl("down") == (0, "stopped\n", "")
    assert owner(folder) is None
    with sqlite3.connect(folder / "store.sqlite") as database:
        assert database.execute("SELECT count(*) FROM objects WHERE kind = 'Pod'").fetchone() == (3,)


def test_down_with_purge_leaves_nothing(kdl: Kdl, folder: Path) -> None:
    assert kdl("up", "--runtime", "fake", "-d").code == 0
    assert kdl("down", "--purge").code == 0
    assert not folder.exists()


def test_down_where_nothing_runs_cleans_up_and_where_nothing_was_does_nothing(kdl: Kdl, folder: Path) -> None:
    assert kdl("down").code == 0
    assert not folder.exists()
    assert kdl("up", "--runtime", "fake", "-d").code == 0
    end(folder)
    assert kdl("down", "--purge") == (0, "cleaned up\n", "")
    assert not folder.exists()


def test_an_object_that_a_pack_denies_is_an_error_and_the_others_are_applied(kdl: Kdl, folder: Path) -> None:
    said = kdl("up", "--runtime", "fake", "-d", "-r", "examples/02-policies", "-f", "examples/02-policies/latest.yaml")
    assert said.code == 1
    assert 'pods "floating" is forbidden: image `nginx:latest`' in said.err
    assert "pod/fixed" in names(kdl)
    assert "pod/floating" not in names(kdl)
