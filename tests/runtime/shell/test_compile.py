"""`kdl compile`."""

from __future__ import annotations

import json

from tests.runtime.shell.conftest import Kdl


def test_compile_shows_each_function_with_its_rule_and_its_plan(kdl: Kdl) -> None:
    said = kdl("compile", "--show", "resources.qos")
    assert said.code == 0
    assert '# qos(P, "BestEffort") :- core.pod(id: P), not total(P, _, _, _).' in said.out
    assert "none in resources.total(P, _, _, _)" in said.out
    assert "def run(seeds, sign, out):" in said.out
    assert kdl("compile", "resources.qos").out.endswith(" functions for 1 relations\n")
    assert list(json.loads(kdl("compile", "resources.qos", "-o", "json").out)) == ["resources.qos"]


def test_a_relation_that_is_not_there_is_told_with_the_nearest(kdl: Kdl) -> None:
    said = kdl("compile", "resources.qso")
    assert said.code == 2
    assert "there is no relation `resources.qso`" in said.err
