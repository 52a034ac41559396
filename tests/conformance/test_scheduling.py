"""Verdicts of kube-scheduler's plugins, recorded while Kubernetes' own tests passed, against the scheduling pack's."""

from __future__ import annotations

from typing import Any

import pytest

import kdl
from kdl.rules.program import Program

from .recorded import cases, cluster, configuration, folders, mismatch, node_name

RAW_SCORE = {"TaintToleration": "sched.shunned", "NodeAffinity": "sched.attraction"}
"""The relation that holds a plugin's points before normalisation, where there are any."""


@pytest.fixture(scope="module")
def program() -> Program:
    return kdl.compile(folders("core", "scheduling"))


def unsupported(case: dict[str, Any]) -> str | None:
    """Why a case cannot be asked, if it cannot."""
    fields = case.get("pluginFields", {})
    if fields.get("enableDRAExtendedResource") == "true":
        return "dynamic resource allocation"
    if "0x" in fields.get("addedNodeSelector", ""):
        return "its configuration was recorded as a memory address"
    return None


def verdict(program: Program, case: dict[str, Any]) -> tuple[bool | int, set[str]]:
    """What the pack says: for a filter whether it admits the pod, and why not; for a score the points."""
    engine = kdl.Engine(program)
    engine.apply(insert=[*cluster(case), *configuration(case.get("pluginFields", {}))])
    target = case["target"] or node_name(case["nodes"][0]["node"])
    assert not engine.facts("kdl.fault")
    if case["phase"] == "Score":
        points = {row[2] for row in engine.facts(RAW_SCORE[case["plugin"]]) if row[1] == target}
        return points.pop() if points else 0, set()
    (name,) = (row[1] for row in engine.facts("sched.waiting") if row[0] == "default/candidate")
    reasons = {row[3] for row in engine.facts("sched.rejects") if row[:3] == (name, target, case["plugin"])}
    return not reasons, reasons


@pytest.mark.parametrize(
    ("name", "plugin", "phases"),
    [
        ("tainttoleration", "TaintToleration", {"Filter", "Score"}),
        ("nodeunschedulable", "NodeUnschedulable", {"Filter"}),
        ("nodename", "NodeName", {"Filter"}),
        ("noderesources", "NodeResourcesFit", {"Filter"}),
        ("nodeaffinity", "NodeAffinity", {"Filter", "Score"}),
    ],
)
def test_the_pack_agrees_with_every_recorded_verdict(program, capsys, name, plugin, phases):
    asked = [case for case in cases(f"scheduling-{name}.jsonl") if case["plugin"] == plugin and case["phase"] in phases]
    left_out = [reason for case in asked if (reason := unsupported(case))]
    wrong = []
    for case in asked:
        if unsupported(case):
            continue
        expected = case["rawScore"] if case["phase"] == "Score" else case["code"] == "Success"
        found, reasons = verdict(program, case)
        # Newer versions say "taint(s)" where older ones, and kdl, name the first taint.
        worded = all(
            any(mine.startswith(said.removesuffix("(s)")) for mine in reasons) for said in case.get("reasons", ())
        )
        if found != expected or not worded or len(reasons) > len(case.get("reasons", ())):
            wrong.append(mismatch(case, expected, (found, reasons)))
    with capsys.disabled():
        print(f"\n  {plugin}: {len(asked) - len(left_out) - len(wrong)} of {len(asked)} recorded verdicts agree")
        for reason in left_out:
            print(f"    not asked: {reason}")
    assert not wrong, "\n".join(wrong)
    assert len(left_out) <= 2
