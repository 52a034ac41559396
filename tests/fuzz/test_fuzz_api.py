"""The API of a running cluster answers whatever is asked, and keeps its word when it is killed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from kdl.fact import plain
from kdl.parser.diagnostic import ManifestError
from kdl.parser.manifest.accept import accept
from kdl.parser.manifest.kinds import BUILT_IN
from kdl.runtime.api import http
from kdl.runtime.api.columns import age, columns_of
from kdl.runtime.api.gate import bearer
from kdl.runtime.api.openapi import OpenApi
from kdl.runtime.api.paths import versions_of
from kdl.runtime.api.service import Objects
from kdl.runtime.clock import SystemClock
from kdl.runtime.store import MemoryStore
from tests.fuzz import api
from tests.fuzz.__main__ import FOUND
from tests.fuzz.kill import State, Writer, one_round
from tests.fuzz.requests import Maker, Request, Surface
from tests.fuzz.up import Client, Up

FILES = sorted(FOUND.glob(f"*{api.SUFFIX}"))


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with Up(tmp_path_factory.mktemp("up") / "data") as up:
        yield up


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_what_was_found_is_answered_well_now(up: Up, file: Path) -> None:
    said = len(api.spoken(up))
    wrong, _, _ = api.asked(up.client(), api.read(file.read_bytes()))
    assert (wrong, up.running, api.spoken(up)[said:]) == (None, True, [])


def test_no_request_fails_hangs_or_ends_the_server(up: Up) -> None:
    (fuzzer,) = api.fuzz(up, seconds=30, seed=1, clients=1, most=500)
    assert fuzzer.trouble == []
    assert (up.running, api.spoken(up)) == (True, [])
    assert sum(count for (_, status), count in fuzzer.statuses.items() if status < 300) > 50, fuzzer.statuses
    assert up.client()("GET", "/kdl/v1/status")[0] == 200


def test_whatever_is_accepted_can_be_shown_as_a_row() -> None:
    published = OpenApi(versions_of(BUILT_IN))
    surface = Surface(lambda path: orjson.loads(published.document(path.partition("?")[0]).body))  # type: ignore[union-attr]
    maker, shown = Maker(surface, seed=1), Counter[str]()
    creates = [operation for operation in surface.operations if operation.method == "POST" and operation.schema]
    for operation in creates * 40:
        doc = maker.document(operation)
        status = surface.resolved(operation.schema).get("properties", {}).get("status")
        if isinstance(doc, dict) and status is not None:
            doc["status"] = maker.value(status, "status", 1)
        try:
            known = accept(doc)
        except ManifestError:
            continue
        kind = known["kind"]
        cells = [column.cell(known) for column in columns_of(kind)]
        assert orjson.dumps(cells, default=plain), cells
        shown[kind] += 1
    assert len(shown) > 20, shown


@pytest.mark.parametrize("stamp", ["x", "2024-01-01", "2024-01-01T00:00:00", 7, ["a"], "9999-99-99T00:00:00Z", True])
def test_what_is_no_time_has_no_age(stamp: Any) -> None:
    assert age(stamp) == "<invalid>"


def test_what_was_acknowledged_outlives_kill_9_and_watches_go_on_without_a_gap(tmp_path: Path) -> None:
    done = one_round(tmp_path, seed=1)
    assert min(done) > 0, done


def test_a_failure_a_hang_and_a_lost_write_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(body: dict[str, Any]) -> Any:
        time.sleep(0.4)
        return {}

    endpoints = [http.Endpoint("fail", lambda body: {}["a"]), http.Endpoint("late", late)]
    server = http.serve(http.app(Objects(MemoryStore(), SystemClock()), bearer("t"), endpoints=endpoints))
    try:
        client = Client(server.port, "t", timeout=0.6)
        monkeypatch.setattr(api, "PATIENCE", 0.2)
        found = {name: api.asked(client, Request("GET", f"/kdl/v1/{name}", {}, None))[0] for name in ("fail", "late")}
        found["none"] = api.asked(client, Request("GET", "/version", {}, None))[0]
        client.connection.timeout = 0.1
        client.close()
        found["hang"] = api.asked(client, Request("GET", "/kdl/v1/late", {}, None))[0]
    finally:
        server.stop()
    assert (found["fail"] or "").startswith("500")
    assert (found["late"] or "").startswith("it took")
    assert (found["hang"] or "").startswith("no answer")
    assert found["none"] is None
    writer = Writer(None, number=1, seed=1)  # type: ignore[arg-type]
    writer.known = {"a": State("5", "x"), "b": None}
    writer.check({"a": State("5", "x")})
    for lost in ({}, {"a": State("4", "w")}, {"a": State("5", "x"), "b": State("6", "y")}):
        with pytest.raises(AssertionError, match="acknowledged"):
            writer.check(lost)
    writer.sent = ("a", None)
    writer.check({})
