"""`kdl profile` as it is called."""

from __future__ import annotations

import json

from tests.runtime.shell.conftest import HELLO, POLICIES, Kdl


def test_rules_deltas_and_relations_are_measured(kdl: Kdl) -> None:
    told = json.loads(kdl("profile", "-f", HELLO, "-o", "json").out)
    assert [delta["delta"] for delta in told["deltas"]] == ["start", "all objects"]
    by_rule = {rule["relation"]: rule for rule in told["rules"]}
    assert (
        by_rule["core.metadata"]["derived"] == told["relations"]["core.object"]["facts"] == told["deltas"][1]["entered"]
    )
    assert all(rule["ms"] >= 0 and rule["runs"] > 0 for rule in told["rules"])
    assert told["rules"] == sorted(told["rules"], key=lambda rule: -rule["ms"])
    for name in ("rules",):
        parts = sum(rule["derived"] for delta in told["deltas"] for rule in delta[name])
        assert parts == sum(rule["derived"] for rule in told["rules"])


def test_each_object_may_be_a_delta(kdl: Kdl) -> None:
    told = json.loads(kdl("profile", "--each", "-f", HELLO, "-o", "json").out)
    assert "Deployment default/hello" in [delta["delta"] for delta in told["deltas"]]
    assert {delta["entered"] for delta in told["deltas"][1:]} == {1}


def test_a_query_is_measured_with_the_rules_that_it_needs(kdl: Kdl) -> None:
    said = kdl("profile", "core.pod(P, _, _, _)", "-f", POLICIES / "latest.yaml", "--top", "2")
    assert said.code == 0
    assert "sched." not in said.out
    assert said.out.splitlines()[0].split() == ["RULE", "OF", "RUNS", "READ", "DERIVED", "MS", "SHARE"]
    assert "… " in said.out
    assert "BYTES EACH" in said.out
    told = json.loads(kdl("profile", "core.pod(P, _, _, _)", "-f", POLICIES / "latest.yaml", "-o", "json").out)
    assert told["query"]["rows"] == told["relations"]["core.pod"]["facts"] > 0
    assert kdl("profile", "core.nothing(P)").code == 2
