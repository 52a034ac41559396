"""The past can be asked: what was so, and why, before it changed."""

from __future__ import annotations

import json
import time
from pathlib import Path

from kdl.parser.quantity import rfc3339
from tests.runtime.shell.conftest import HELLO, Kdl, eventually

READY = "core.ready(P, _)"


def now() -> str:
    return rfc3339(int(time.time() * 1000))


def test_what_was_so_can_be_asked_after_it_changed_and_after_the_cluster_ended(kdl: Kdl, folder: Path) -> None:
    assert kdl("up", "-d", "--wait", "--runtime", "fake", "-f", HELLO).code == 0
    three = now()
    time.sleep(0.01)
    assert kdl("delete", "deployment", "hello").code == 0
    eventually(lambda: kdl("query", READY).code == 1)
    ready = json.loads(kdl("query", READY, "--at", three, "-o", "json").out)
    assert len(ready) == 3
    pod = ready[0]["P"]
    why = kdl("why", f'core.ready("{pod}", _)', "--at", three)
    assert why.code == 0
    assert f'core.ready("{pod}"' in why.out
    assert kdl("whynot", f'core.ready("{pod}", _)').code == 0
    assert kdl("whynot", f'core.ready("{pod}", _)', "--at", three).code == 1
    moments = json.loads(kdl("history", "-o", "json").out)
    assert any('"Deployment", "default/hello"' in fact for moment in moments for fact in moment["removed"])
    assert "Deployment default/hello" in kdl("history").out
    assert kdl("down").code == 0
    assert kdl("query", READY, "--at", three).out.count("default/hello-") == 3
    assert kdl("query", READY, "--at", "0s").out == "no\n"


def test_a_proof_of_the_past_ends_in_the_line_of_the_manifest(kdl: Kdl, folder: Path) -> None:
    assert kdl("up", "-d", "--wait", "--runtime", "fake", "-f", HELLO).code == 0
    assert "hello.yaml:" in kdl("why", 'core.service(id: "default/hello")', "--at", "0s").out


def test_times_that_nothing_is_known_of_are_told(kdl: Kdl, folder: Path) -> None:
    assert kdl("query", READY, "--at", "yesterday").code == 2
    assert kdl("query", READY, "--at", "2026-01-31T12:00:00").code == 2
    assert kdl("why", READY, "--at", "1m", "-f", HELLO).code == 2
    said = kdl("query", READY, "--at", "1m")
    assert said.code == 1
    assert "none was ever recorded" in said.err
    assert kdl("history").code == 1
    assert kdl("up", "-d", "--runtime", "fake").code == 0
    said = kdl("query", READY, "--at", "2020-01-01T00:00:00Z")
    assert said.code == 1
    assert "the first moment recorded is 20" in said.err
