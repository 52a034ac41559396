"""The quality-of-service classes that Kubernetes' own tests expect."""

from __future__ import annotations

import kdl

from .recorded import cases, folders, pod


def test_every_recorded_pod_has_its_quality_of_service_class(capsys):
    engine = kdl.Engine(kdl.compile(folders("core", "resources")))
    recorded = cases("qos.jsonl")
    engine.apply(insert=[pod(case["pod"], f"pod-{index}") for index, case in enumerate(recorded)])
    expected = {(f"default/pod-{index}", case["qos"]) for index, case in enumerate(recorded)}
    assert engine.facts("resources.qos") == expected
    with capsys.disabled():
        print(f"\n  qos: {len(expected)} of {len(recorded)} recorded classes agree")
