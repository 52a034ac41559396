"""`kdl pack` on a running cluster of fake nodes, as a user."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from kdl.runtime.store.folder import owner
from tests.runtime.shell.conftest import HELLO, POLICIES, Kdl, end, eventually
from tests.runtime.shell.terminal import terminal

NOTES = """
## A config map beside every service.
module notes.
import core.
import api.

@why f"service {S} has no note"
api.create("ConfigMap", f"{Ns}/{N}#note", {"apiVersion": "v1", "kind": "ConfigMap",
    "metadata": {"name": f"note-{N}", "namespace": Ns}, "data": {"text": "TEXT"}}) :-
    core.metadata(kind: "Service", id: S, namespace: Ns, name: N),
    not core.metadata(kind: "ConfigMap", id: f"{Ns}/note-{N}").
"""

GROWS = """
module grows.
import core.
rel cube(p: str, a: int, b: int, c: int).
cube(P, A, B, C) :- core.label("Pod", P, "size", S), A in 1..int(S), B in 1..int(S), C in 1..int(S).
rel other(p: str).
other(P) :- core.label("Pod", P, "size", _).
"""


@pytest.fixture
def up(kdl: Kdl, folder: Path) -> Path:
    """A cluster with two services and their three pods, at rest."""
    said = kdl("up", "--runtime", "fake", "-d", "--wait", "-f", HELLO, "--max-facts", 100_000)
    assert said.code == 0, said
    return folder


def pack(folder: Path, name: str, text: str) -> Path:
    path = folder.parent / f"{name}.dl"
    path.write_text(text)
    return path


def states(kdl: Kdl) -> dict[str, tuple[str, str]]:
    packs = json.loads(kdl("pack", "list", "-o", "json").out)
    return {item["name"]: (item["state"], item["reason"]) for item in packs}


def notes(kdl: Kdl) -> set[str]:
    return set(kdl("get", "configmaps", "-o", "name").out.split()) - {"configmap/kube-root-ca.crt"}


def pod(folder: Path, name: str, labels: str = "{}") -> Path:
    path = folder.parent / f"{name}.yaml"
    path.write_text(
        f"apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {labels}}}\n"
        "spec: {containers: [{name: a, image: 'nginx:latest'}]}\n"
    )
    return path


def test_a_pack_shows_its_plan_and_does_nothing_until_told_yes(kdl: Kdl, up: Path) -> None:
    path = pack(up, "notes", NOTES)
    said = kdl("pack", "add", path)
    assert said.code == 1
    assert said.err == "nothing was done: say --yes to do it\n"
    lines = said.out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("#1 api.create:ConfigMap/default/hello")
    assert lines[0].endswith("has no note (notes.dl:7)")
    assert kdl("pack", "list").out.startswith("no packs")
    assert notes(kdl) == set()
    said = kdl("pack", "add", path, "--yes")
    assert said.code == 0, said
    assert said.out == "pack `notes` added: 2 operations follow\n"
    eventually(lambda: len(notes(kdl)) == 2)
    assert states(kdl) == {"notes": ("active", "")}


@pytest.mark.parametrize(("answer", "left"), [("n", 3), ("y", 0)])
def test_at_a_terminal_it_asks_and_says_what_removes_more_than_it_adds(
    kdl: Kdl, up: Path, answer: str, left: int
) -> None:
    rule = 'api.delete("Deployment", D, "not wanted") :- core.spec(kind: "Deployment", id: D).'
    rules = f"module m. import core. import api. {rule}"
    with terminal("pack", "add", pack(up, "m", rules), prompt=r"do it\? \[y/N\]:") as screen:
        assert "api.delete:Deployment/default/hello" in screen.lines[0]
        assert "this removes more than it adds: do it?" in screen.lines[-1]
        screen.type(f"{answer}\r")
        screen.until("nothing was done" if answer == "n" else "pack `m` added")
    assert bool(states(kdl)) == (answer == "y")
    eventually(lambda: len(kdl("get", "pods", "-o", "name").out.split()) == left)


def test_rules_of_a_pack_can_be_asked_about_and_removal_undoes_them(kdl: Kdl, up: Path) -> None:
    floating = pod(up, "floating")
    assert kdl("pack", "add", POLICIES, "--name", "house", "--yes").code == 0
    denied = kdl("apply", "-f", floating)
    assert denied.code == 1
    assert "has no fixed tag" in denied.err
    assert kdl("query", "house.image(K, I, C, M)").code == 0
    assert kdl("pack", "remove", "house", "--yes").code == 0
    assert kdl("query", "house.image(K, I, C, M)").code == 2
    assert kdl("apply", "-f", floating).code == 0
    assert states(kdl) == {}


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_packs_are_remembered_over_restarts(kdl: Kdl, up: Path, how: signal.Signals) -> None:
    path = pack(up, "notes", NOTES)
    assert kdl("pack", "add", path, "--yes").code == 0
    path.unlink()
    pid = owner(up)
    assert pid is not None
    os.kill(pid, how)
    eventually(lambda: owner(up) is None)
    assert kdl("up", "-d", "--wait").code == 0
    assert states(kdl) == {"notes": ("active", "")}
    assert kdl("delete", "configmap", "note-hello").code == 0
    eventually(lambda: len(notes(kdl)) == 2)
    assert kdl("pack", "remove", "notes", "--yes").code == 0
    assert kdl("delete", "configmap", "note-hello").code == 0
    end(up)
    assert kdl("up", "-d", "--wait").code == 0
    assert states(kdl) == {}
    assert len(notes(kdl)) == 1


def test_a_pack_is_replaced_by_its_name(kdl: Kdl, up: Path) -> None:
    assert kdl("pack", "add", pack(up, "notes", NOTES), "--yes").code == 0
    assert kdl("pack", "add", pack(up, "notes", NOTES), "--yes").code == 1
    eventually(lambda: len(notes(kdl)) == 2)
    assert kdl("pack", "replace", pack(up, "notes", NOTES.replace("TEXT", "other")), "--yes").code == 0
    assert kdl("delete", "configmap", "note-hello").code == 0
    eventually(lambda: len(notes(kdl)) == 2)
    texts = {item["metadata"]["name"]: item["data"].get("text")
             for item in json.loads(kdl("get", "configmaps", "-o", "json").out)["items"]}  # fmt: skip
    assert texts["note-hello"] == "other"
    assert kdl("pack", "replace", pack(up, "none", NOTES), "--yes").code == 1
    assert kdl("pack", "remove", "none", "--yes").code == 1


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        ("module m. import core. rel p(a: str). p(A) :- core.podd(A, _, _, _).", 2, "core.podd"),
        ("module m. rel p(a: int). p(A) :- q(A", 2, "error[KDL"),
        ("module core. rel p(a: int).", 2, "error[KDL"),
        ("module m. rel p(a: int, b: int). p(A, B) :- A in 1..99999, B in 1..99999.", 1, "more than 100000"),
        (
            'module m. import core. rel p(a: int). p(int(N)) :- core.pod(name: N).',
            1,
            "its rules fault on the facts there are",
        ),
        (
            'module m. import core. import api. api.patch("Pod", P, "/metadata/labels/x", "1") :- core.pod(id: P).\n'
            'api.patch("Pod", P, "/metadata/labels/x", "2") :- core.pod(id: P).',
            1,
            "different values would be derived for api.patch:Pod/default/hello-",
        ),
    ],
)  # fmt: skip
def test_a_wrong_pack_is_refused_with_its_reason_and_the_cluster_goes_on(
    kdl: Kdl, up: Path, text: str, code: int, told: str
) -> None:
    said = kdl("pack", "add", pack(up, "m", text), "--yes")
    assert said.code == code, said
    assert told in said.err
    assert states(kdl) == {}
    assert kdl("apply", "-f", pod(up, "after")).code == 0
    eventually(lambda: "Running" in kdl("get", "pod", "after").out)


def test_a_pack_that_crosses_a_limit_later_is_suspended_and_the_rest_goes_on(kdl: Kdl, up: Path) -> None:
    assert kdl("pack", "add", pack(up, "notes", NOTES), "--yes").code == 0
    assert kdl("pack", "add", pack(up, "grows", GROWS), "--yes").code == 0
    assert kdl("apply", "-f", pod(up, "small", '{size: "5"}')).code == 0
    assert kdl("query", 'grows.cube("default/small", 5, 5, C)').out.count("\n") == 6
    assert kdl("apply", "-f", pod(up, "big", '{size: "60"}')).code == 0
    eventually(lambda: states(kdl)["grows"][0] == "suspended")
    assert "`grows.cube` at grows.dl:5 would have more than 100000 rows" in states(kdl)["grows"][1]
    assert states(kdl)["notes"] == ("active", "")
    eventually(lambda: "Running" in kdl("get", "pod", "big").out)
    assert kdl("delete", "configmap", "note-hello").code == 0
    eventually(lambda: len(notes(kdl)) == 2)
    end(up)
    assert kdl("up", "-d", "--wait").code == 0
    assert states(kdl)["grows"][0] == "suspended"
    assert kdl("pack", "replace", pack(up, "grows", GROWS.replace("1..int(S), B", "1..3, B")), "--yes").code == 0
    assert states(kdl)["grows"] == ("active", "")


def test_what_the_first_rules_cannot_take_in_halts_the_loop_until_it_is_mended(kdl: Kdl, folder: Path) -> None:
    """They are no pack that could be suspended: nothing is done, nothing is lost, and the API serves."""
    grows = pack(folder, "grows", GROWS)
    limits = ("--max-facts", 100_000)
    assert kdl("up", "--runtime", "fake", "-d", "--wait", "-r", grows, *limits).code == 0
    assert kdl("apply", "-f", pod(folder, "before")).code == 0
    eventually(lambda: "Running" in kdl("get", "pod", "before").out)
    assert kdl("apply", "-f", pod(folder, "big", '{size: "60"}')).code == 0
    why = "`grows.cube` at grows.dl:5 would have more than 100000 rows"
    eventually(lambda: why in kdl("get", "cs").out)
    assert kdl("apply", "-f", pod(folder, "after")).code == 0
    assert "Pending" in kdl("get", "pod", "after").out
    assert kdl("query", 'core.metadata(kind: "Pod", name: N)').out.split()[1:2] == ["before"]
    end(folder)
    said = kdl("up", "-d", "--wait", "-r", grows, *limits)
    assert said.code == 1
    assert f"error: nothing new is decided: {why}" in said.err
    assert kdl("delete", "pod", "big").code == 0
    eventually(lambda: "Running" in kdl("get", "pod", "after").out)
    log = folder / "up.log"
    assert f"error: nothing new is decided: {why}" in log.read_text()
    eventually(lambda: "the rules decide again" in log.read_text())
    assert "Running" in kdl("get", "pod", "before").out


def test_an_admission_rule_that_crosses_a_limit_is_suspended_and_objects_come_in_again(kdl: Kdl, up: Path) -> None:
    rule = 'admission.deny("Pod", P, f"{A}") :- cube(P, A, 0, _).\n'
    text = GROWS.replace("import core.", "import core.\nimport admission.") + rule
    assert kdl("pack", "add", pack(up, "grows", text), "--yes").code == 0
    assert kdl("apply", "-f", pod(up, "big", '{size: "60"}')).code == 1
    eventually(lambda: states(kdl)["grows"][0] == "suspended")
    assert kdl("apply", "-f", pod(up, "big", '{size: "60"}')).code == 0


def test_what_goes_wrong_later_in_a_pack_is_listed_beside_it(kdl: Kdl, up: Path) -> None:
    text = 'module m. import core. rel p(a: int). p(int(V)) :- core.label("Pod", _, "size", V).'
    assert kdl("pack", "add", pack(up, "m", text), "--yes").code == 0
    assert kdl("apply", "-f", pod(up, "odd", "{size: large}")).code == 0
    state, reason = states(kdl)["m"]
    assert state == "active"
    assert reason.startswith("m.dl:1: ")
    assert "large" in reason


def test_a_pack_that_does_not_go_with_the_rules_after_a_restart_is_suspended(kdl: Kdl, up: Path) -> None:
    assert kdl("pack", "add", pack(up, "notes", NOTES), "--yes").code == 0
    end(up)
    clash = pack(up, "clash", "module notes.\nrel p(a: int).\n")
    assert kdl("up", "-d", "--wait", "-r", clash).code == 0
    state, reason = states(kdl)["notes"]
    assert state == "suspended"
    assert reason.startswith("KDL")
    assert "notes" in kdl("pack", "list").out


ODD = [
    'api.create("ConfigMap", "x", 5) :- core.namespace("default").',
    'api.create("Nonsense", "x", {}) :- core.namespace("default").',
    'api.create("ConfigMap", "x", {"metadata": 7}) :- core.namespace("default").',
    'api.create("ConfigMap", "x", {"apiVersion": "v1", "kind": "ConfigMap", '
    '"metadata": {"name": "x", "ownerReferences": [3]}}) :- core.namespace("default").',
    'api.patch("Pod", P, "bad path", 1) :- core.pod(id: P).',
    'api.patch("Pod", P, "/spec/containers/0/image/x", {"a": [1]}) :- core.pod(id: P).',
    'api.patch("Nothing", "a", "/x", 1) :- core.namespace("default").',
    'api.status("Pod", P, "", 1) :- core.pod(id: P).',
    'api.status("Pod", P, "conditions", "x") :- core.pod(id: P).',
    'api.condition("Pod", P, "", "", 1, [2]) :- core.pod(id: P).',
    'api.bind(P, "") :- core.pod(id: P).',
    'api.event("Pod", P, "", "", "") :- core.pod(id: P).',
    'api.event("Nothing", "x/y", "a", "b", "c") :- core.namespace("default").',
    'api.delete("Nothing", "x", "r") :- core.namespace("default").',
    'api.remove("Nothing", "x", "r") :- core.namespace("default").',
]


def test_commands_that_make_no_sense_fail_and_the_loop_goes_on(kdl: Kdl, up: Path) -> None:
    process = owner(up)
    for number, rule in enumerate(ODD):
        said = kdl("pack", "add", pack(up, f"odd{number}", f"module odd. import core. import api. {rule}"), "--yes")
        assert said.code in (0, 1), (rule, said)
        name = f"probe{number}"
        assert kdl("apply", "-f", pod(up, name)).code == 0, rule
        eventually(lambda: kdl("query", f'core.pod("default/{name}", _, _, _)').code == 0)  # noqa: B023
        if said.code == 0:
            assert kdl("pack", "remove", f"odd{number}", "--yes").code == 0, rule
        assert owner(up) == process, rule
    eventually(lambda: kdl("get", "pods").out.count("Running") >= len(ODD))
