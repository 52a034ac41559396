"""The last line of a why-not: a change of what people wrote, tried before it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdl.fact import Fact, row
from kdl.rules.repair import Edit, _delta
from kdl.runtime.questions import Answer, View, ask_why_not
from kdl.runtime.shell.scratch import Scratch, program_of

NODES = """
apiVersion: v1
kind: Node
metadata: {name: small}
status: {allocatable: {cpu: "1", memory: 4Gi, pods: "10"}}
---
apiVersion: v1
kind: Node
metadata: {name: roomy}
spec:
  taints:
  - {key: gpu, value: "true", effect: NoSchedule}
status: {allocatable: {cpu: "3", memory: 4Gi, pods: "10"}}
---
"""

POD = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: default}
spec:
  %s
  containers:
  - name: app
    image: app:1
    resources: {requests: {cpu: "%s"}}
"""


@pytest.fixture(scope="module")
def program():
    return program_of(())


def ask(program, folder: Path, text: str, goal: str = 'api.bind("default/web", N)') -> Answer:
    file = folder / "all.yaml"
    file.write_text(text)
    scratch = Scratch(program, [file])
    before = set(scratch.engine.base())
    answer = ask_why_not(scratch.engine, goal, origin=scratch.origin, view=View(form="json"))
    assert set(scratch.engine.base()) == before
    return answer


def changes(answer: Answer) -> list[str]:
    """The changes that are told, the smallest first; each is one that was tried."""
    lines = [line.strip() for line in answer.text.splitlines()]
    found = [
        line.partition(" after: ")[2] for line in lines if line.startswith(("it would hold after: ", "or after: "))
    ]
    assert found == answer.data["repairs"]
    return found


def last(answer: Answer) -> str:
    return f"it would hold after: {changes(answer)[0]}"


def test_a_request_is_lowered_to_what_the_best_node_has(program, tmp_path):
    answer = ask(program, tmp_path, NODES + POD % ("", "2"))
    assert last(answer) == (
        'it would hold after: set spec.containers[0].resources.requests.cpu of Pod default/web to "1"'
        f' (now "2", {tmp_path}/all.yaml:24)'
    )


def test_a_taint_goes_as_a_whole_where_only_it_is_in_the_way(program, tmp_path):
    only = NODES.partition("---")[2]
    answer = ask(program, tmp_path, only + POD % ("", "2"))
    assert last(answer) == f"it would hold after: remove spec.taints[0] of Node roomy ({tmp_path}/all.yaml:7)"


def test_a_cordon_is_lifted(program, tmp_path):
    node = NODES.partition("---")[0].replace("status:", "spec: {unschedulable: true}\nstatus:")
    answer = ask(program, tmp_path, node + "---" + POD % ("", "1"))
    assert last(answer).startswith("it would hold after: remove spec.unschedulable of Node small")


def test_two_obstacles_of_one_node_take_two_edits(program, tmp_path):
    node = NODES.partition("---")[0]
    answer = ask(program, tmp_path, node + "---" + POD % ("nodeSelector: {disk: ssd}", "2"))
    assert last(answer) == (
        f"it would hold after: remove spec.nodeSelector of Pod default/web ({tmp_path}/all.yaml:11) and set"
        ' spec.containers[0].resources.requests.cpu of Pod default/web to "1"'
        f' (now "2", {tmp_path}/all.yaml:15)'
    )


def test_of_pods_of_one_class_the_one_that_was_asked_about_is_changed(program, tmp_path):
    node = NODES.partition("---")[0]
    both = (POD % ("", "2")).replace("name: web", "name: a") + "---" + POD % ("", "2")
    answer = ask(program, tmp_path, node + "---" + both)
    assert "of Pod default/web to" in last(answer)


def test_reasons_say_amounts_and_their_counts_add_up_to_the_nodes(program, tmp_path):
    answer = ask(program, tmp_path, NODES + POD % ("", "6"))
    reasons = answer.data["reasons"]
    assert sum(reason["count"] for reason in reasons) == 2
    assert {reason["total"] for reason in reasons} == {2}
    assert ". 1 of 2: NodeResourcesFit: Insufficient cpu: wants 6000 cpu, 1000 free (small)" in answer.text
    assert ". 1 of 2: NodeResourcesFit: Insufficient cpu: wants 6000 cpu, 3000 free and Taint" in answer.text


def test_an_answer_has_at_most_twelve_reasons(program, tmp_path):
    nodes = "".join(
        f"apiVersion: v1\nkind: Node\nmetadata: {{name: {letter * 3}}}\nspec:\n  taints:\n"
        f"  - {{key: of-{letter}, effect: NoSchedule}}\n---\n"
        for letter in "abcdefghijklmnopqrst"
    )
    answer = ask(program, tmp_path, nodes + POD % ("", "1"))
    numbered = [line for line in answer.text.splitlines() if line.strip()[0].isdigit()]
    assert len(numbered) <= 12
    assert sum(reason["count"] for reason in answer.data["reasons"]) == 20


def test_an_edit_that_takes_away_a_field_that_is_not_there_changes_nothing():
    fact = Fact("core.object", row(["", "Pod", "default/web", "u", {"spec": {"containers": []}}]))
    insert, remove = _delta([Edit("remove spec.nodeName", 0, fact, ("spec", "nodeName"))])
    assert (insert, remove) == ([fact], [])


def test_a_node_is_given_the_label_that_is_asked_for_or_the_pod_asks_no_more(program, tmp_path):
    node = NODES.partition("---")[0]
    answer = ask(program, tmp_path, node + "---" + POD % ("nodeSelector: {disk: ssd}", "1"))
    assert changes(answer) == [
        f"remove spec.nodeSelector of Pod default/web ({tmp_path}/all.yaml:11)",
        'set metadata.labels.disk of Node small to "ssd"',
    ]


def test_several_labels_of_a_selector_are_one_edit(program, tmp_path):
    node = NODES.partition("---")[0].replace("{name: small}", "{name: small, labels: {zone: a}}")
    answer = ask(program, tmp_path, node + "---" + POD % ("nodeSelector: {disk: ssd, zone: b}", "1"))
    assert 'set metadata.labels of Node small to {"disk": "ssd", "zone": "b"}' in changes(answer)


def test_a_pod_may_tolerate_the_taints_that_are_in_its_way(program, tmp_path):
    only = NODES.partition("---")[2].replace(
        "effect: NoSchedule}", "effect: NoSchedule}\n  - {key: old, effect: NoExecute}"
    )
    answer = ask(program, tmp_path, only + POD % ("", "2"))
    wanted = (
        '[{"effect": "NoExecute", "key": "old", "operator": "Exists"}, '
        '{"effect": "NoSchedule", "key": "gpu", "operator": "Equal", "value": "true"}]'
    )
    assert f"set spec.tolerations of Pod default/web to {wanted}" in changes(answer)


def test_a_change_that_takes_away_whole_objects_is_not_told_beside_a_smaller_one(program, tmp_path):
    for text in (NODES + POD % ("", "2"), NODES.partition("---")[2] + POD % ("nodeSelector: {disk: ssd}", "2")):
        assert not any("delete" in change for change in changes(ask(program, tmp_path, text)))
