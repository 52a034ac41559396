"""Protobuf bodies: what kubectl means by them, and that no bytes break the reader."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdl.parser.manifest.protobuf import MAGIC, Misread, decoded


def number(value: int) -> bytes:
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    return bytes([*made, value])


def part(at: int, data: bytes | str | int) -> bytes:
    if isinstance(data, int):
        return number(at << 3) + number(data & (1 << 64) - 1)
    raw = data.encode() if isinstance(data, str) else data
    return number(at << 3 | 2) + number(len(raw)) + raw


def envelope(api_version: str, kind: str, raw: bytes) -> bytes:
    return MAGIC + part(1, part(1, api_version) + part(2, kind)) + part(2, raw)


def test_a_deployment_is_read_with_its_pointers_zeros_and_quantities() -> None:
    limits = part(1, part(1, "cpu") + part(2, part(1, "500m")))
    port = part(1, "http") + part(2, 0) + part(3, 8080) + part(4, "") + part(5, "")
    probe = part(1, part(2, part(1, "/") + part(2, part(1, 1) + part(2, 0) + part(3, "http"))))
    container = part(1, "web") + part(2, "") + part(6, port) + part(8, limits) + part(10, probe)
    template = part(1, part(11, part(1, "app") + part(2, "web"))) + part(2, part(2, container))
    spec = part(1, 0) + part(3, template) + part(4, b"") + part(5, 0)
    metadata = part(1, "web") + part(3, "") + part(7, 0) + part(8, b"")
    found = decoded(envelope("apps/v1", "Deployment", part(1, metadata) + part(2, spec) + part(3, b"")))
    assert found["metadata"] == {"name": "web"}
    assert found["spec"]["replicas"] == 0
    (read,) = found["spec"]["template"]["spec"]["containers"]
    assert read["ports"] == [{"name": "http", "containerPort": 8080}]
    assert read["resources"] == {"limits": {"cpu": "500m"}}
    assert read["livenessProbe"]["httpGet"] == {"path": "/", "port": "http"}
    assert found["spec"]["template"]["metadata"]["labels"] == {"app": "web"}


def test_bytes_times_and_negative_numbers_are_written_as_json_does() -> None:
    secret = decoded(envelope("v1", "Secret", part(2, part(1, "k") + part(2, b"\x00\x01"))))
    assert secret["data"] == {"k": "AAE="}
    moment = part(1, 1_767_225_600)
    event = decoded(envelope("v1", "Event", part(1, part(8, moment)) + part(8, -3)))
    assert event["metadata"]["creationTimestamp"] == "2026-01-01T00:00:00Z"
    assert event["count"] == -3


def test_delete_options_come_under_any_version() -> None:
    found = decoded(envelope("apps/v1", "DeleteOptions", part(1, 0) + part(4, "Foreground") + part(5, "All")))
    assert (found["gracePeriodSeconds"], found["propagationPolicy"], found["dryRun"]) == (0, "Foreground", ["All"])


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    for body in (data, MAGIC + data, envelope("v1", "Pod", data), envelope("apps/v1", "Deployment", data)):
        with contextlib.suppress(Misread):
            assert isinstance(decoded(body), dict)


def test_a_kind_that_nobody_knows_is_told() -> None:
    with pytest.raises(Misread, match="send JSON"):
        decoded(envelope("example.com/v1", "Thing", b""))
