"""`kdl whatif`, and explanations that are opened and drawn, on a running cluster and without one."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.runtime.shell.conftest import POLICIES, ROOT, Kdl

WORLD = ("--world", POLICIES / "nodes.yaml", "--world", POLICIES / "latest.yaml", "-r", POLICIES)


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.chdir(ROOT)
    live = "cluster" in request.fixturenames
    monkeypatch.setenv("KDL_DATA", str(request.getfixturevalue("cluster")) if live else "/nonexistent")


def test_a_label_that_is_supposed_shows_what_would_be_derived(kdl: Kdl) -> None:
    said = kdl("whatif", '+core.label("Node", "cheap", "team", "blue")', *WORLD)
    assert said.code == 0, said
    assert said.out.splitlines()[0] == 'suppose + core.label("Node", "cheap", "team", "blue")'
    assert '"cheap", "Team", "node(s) belonged to another team")' in said.out
    assert "- sched.feasible(" in said.out


def test_manifests_show_the_effects_first_each_with_its_rule(kdl: Kdl) -> None:
    said = kdl("whatif", "-f", POLICIES / "latest.yaml", "--world", POLICIES / "nodes.yaml", "-r", POLICIES)
    assert said.code == 0, said
    lines = said.out.splitlines()
    effects = lines.index(next(line for line in lines if line.startswith("effects: ")))
    assert lines[effects + 1].startswith("  run api.bind:default/")
    assert "sched.dl:" in lines[effects + 1]
    assert lines.index(next(line for line in lines if line.startswith("derived: "))) > effects


def test_no_more_lines_than_asked_for_and_a_count_of_the_rest(kdl: Kdl) -> None:
    words = ("whatif", "-f", POLICIES / "latest.yaml", "--world", POLICIES / "nodes.yaml", "-r", POLICIES)
    short, told = kdl(*words, "--lines", 5).out.splitlines(), json.loads(kdl(*words, "-o", "json").out)
    effects = len(told["effects"])
    assert f"effects: {effects}" in short
    assert f"  … and {effects - 5} more effects" in short
    derived = sum(len(sides["added"]) + len(sides["removed"]) for sides in told["derived"].values())
    assert any(line.startswith(f"  … and {derived} more, of ") for line in short)


def test_a_question_is_answered_in_the_supposed_state(kdl: Kdl) -> None:
    goal = 'api.bind("default/digest", _)'
    names = {row["N"] for row in json.loads(kdl("eval", "core.node(N, _)", "-f", POLICIES, "-o", "json").out)}
    cut = tuple(word for name in sorted(names) for word in ("--remove", f"node/{name}"))
    assert kdl("whatif", *cut, "--query", "core.node(N, _)", *WORLD) == (1, "no\n", "")
    said = kdl("whatif", *cut, "--whynot", goal, *WORLD)
    assert said.code == 0
    assert "does not hold" in said.out


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["+core.label(N, _, _, _)"],
        ["+core.labell(1)"],
        ['+core.label("Node", "a", "b", 7)'],
        ["--remove", 'core.label("Node", "none", _, _)'],
        ["--remove", "gadget/x"],
        ["--advance", "soon"],
        ["--advance", "5m", "--why", "a(1)", "--query", "a(1)"],
    ],
    ids=str,
)
def test_what_cannot_be_supposed_is_refused(kdl: Kdl, words: list[str]) -> None:
    said = kdl("whatif", *words, *WORLD)
    assert said.code == 2
    assert said.err


def test_on_a_running_cluster_nothing_is_kept(kdl: Kdl, cluster: Path) -> None:
    before = kdl("query", "core.label(K, I, L, V)").out, kdl("get", "all", "-o", "json").out
    said = kdl("whatif", "-f", POLICIES / "latest.yaml")
    assert said.code == 0, said
    assert "run api.bind:default/fixed" in said.out
    pod = json.loads(kdl("get", "pods", "-o", "json").out)["items"][0]["metadata"]["name"]
    gone = kdl("whatif", "--remove", f"pod/{pod}", "-o", "json")
    assert gone.code == 0, gone
    effects = {effect["id"]: effect["verb"] for effect in json.loads(gone.out)["effects"]}
    assert any(name.startswith("api.create:Pod/") for name in effects)
    assert any(name.startswith("node.container:") and verb == "remove" for name, verb in effects.items())
    assert (kdl("query", "core.label(K, I, L, V)").out, kdl("get", "all", "-o", "json").out) == before


def test_a_running_cluster_refuses_what_cannot_be_supposed(kdl: Kdl, cluster: Path) -> None:
    assert kdl("whatif", "+core.labell(1)").code == 2
    assert kdl("whatif", "+core.label(N, _, _, _)").code == 2
    assert kdl("whatif", '+core.object(1, "a", "b", "c", {})').code == 2
    assert kdl("whatif", "-f", ROOT / "tests/diagnostics/manifests/15-missing-image.yaml").code == 2


def test_an_explanation_is_opened_by_number_and_drawn(kdl: Kdl, cluster: Path) -> None:
    goal = 'core.service("default/hello", _, _, _, _)'
    said = kdl("why", goal, "--expand", "1")
    assert said.code == 0, said
    assert said.out.startswith("1 core.")
    assert '"creationTimestamp":' in said.out
    assert kdl("why", goal, "--expand", "7.7").code == 2
    assert kdl("why", goal, "-o", "dot").out.startswith("digraph explanation {")
    assert ElementTree.fromstring(kdl("why", goal, "-o", "svg").out).tag.endswith("svg")
    told = json.loads(kdl("why", goal, "--expand", "1", "-o", "json").out)
    assert told["expanded"][0]["number"] == "1"


def test_without_a_cluster_too(kdl: Kdl) -> None:
    words = ("-r", POLICIES, "-f", POLICIES / "latest.yaml")
    goal = 'admission.deny("Pod", "default/floating", _)'
    assert kdl("why", goal, *words, "-o", "dot").out.startswith("digraph")
    assert "latest.yaml:" in kdl("why", goal, *words, "--expand", "1.1").out
    assert kdl("why", goal, *words, "--expand", "9").code == 2
    gone = 'admission.deny("Pod", "default/fixed", _)'
    assert "does not hold" in kdl("whynot", gone, *words, "-o", "svg").out
