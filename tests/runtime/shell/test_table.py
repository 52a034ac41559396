"""Cells as kubectl prints them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kdl.runtime.api.columns import age, pod_status, selector_text
from kdl.runtime.shell.table import aligned, row

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (185, "3m5s"),
        (600, "10m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 120, "3h2m"),
        (9 * 3600 + 120, "9h"),
        (47 * 3600, "47h"),
        (50 * 3600, "2d2h"),
        (9 * 86400, "9d"),
        (-5, "0s"),
    ],
)
def test_an_age_has_at_most_two_units(seconds: int, text: str) -> None:
    stamp = (NOW - timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
    assert age(stamp, NOW) == text


def pod(status: dict[str, Any], **metadata: str) -> dict[str, Any]:
    return {"metadata": {"name": "p", **metadata}, "spec": {"containers": [{"name": "c"}]}, "status": status}


def state(**of: dict[str, Any]) -> dict[str, Any]:
    return {"phase": "Running", "containerStatuses": [{"name": "c", "restartCount": 0, "state": of}]}


@pytest.mark.parametrize(
    ("doc", "word"),
    [
        (pod({}), "Pending"),
        (pod(state(running={})), "Running"),
        (pod(state(waiting={"reason": "CrashLoopBackOff"})), "CrashLoopBackOff"),
        (pod(state(terminated={"exitCode": 1, "reason": "Error"})), "Error"),
        (pod(state(terminated={"exitCode": 3})), "ExitCode:3"),
        (pod({"phase": "Failed", "reason": "Evicted"}), "Evicted"),
        (pod(state(running={}), deletionTimestamp="2026-01-01T00:00:00Z"), "Terminating"),
        (pod({"phase": "Pending", "initContainerStatuses": [{"state": {"running": {}}}, {"state": {}}]}), "Init:0/2"),
        (
            pod({"phase": "Pending", "initContainerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull"}}}]}),
            "Init:ErrImagePull",
        ),
    ],
)
def test_a_pods_status_is_what_is_wrong_with_it_or_its_phase(doc: dict[str, Any], word: str) -> None:
    assert pod_status(doc) == word


def test_a_kind_without_columns_of_its_own_has_a_name_and_an_age() -> None:
    assert row("Widget", {"metadata": {"name": "x"}}) == ["x", "<unknown>"]


def test_a_selector_is_told_in_words() -> None:
    expressions = [{"key": "tier", "operator": "In", "values": ["a", "b"]}, {"key": "x", "operator": "Exists"}]
    assert selector_text({"matchLabels": {"a": "b"}, "matchExpressions": expressions}) == "a=b,tier in (a,b),x exists"
    assert selector_text({}) == "<none>"


def test_columns_are_aligned_and_lines_end_with_their_text() -> None:
    assert aligned([["a", "bbb", "c"], ["aaaa", "b", ""]]) == ["a      bbb   c", "aaaa   b"]
