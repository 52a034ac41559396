"""What the store on disk promises beyond the contract: it outlives its process, and has its folder to itself."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kdl.fact import value
from kdl.runtime.store import Gone, Key, Source, SqliteStore, StoreError
from kdl.runtime.store.folder import owner

WEB = Key("", "Pod", "default/web")

WRITER = """
import sys, threading
from kdl.runtime.store import Key, SqliteStore
store = SqliteStore(sys.argv[1])
def write(name):
    for number in range(100_000):
        with store.transaction() as t:
            t.put(Key("", "Pod", f"default/{name}"), {"metadata": {"name": name}, "number": number})
        sys.stdout.write(f"{name} {number}\\n"); sys.stdout.flush()
threads = [threading.Thread(target=write, args=(f"w{i}",)) for i in range(4)]
for thread in threads: thread.start()
"""


def run(code: str, *args: object, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **env},
    )


def put(store: SqliteStore, document: dict[str, Any], key: Key = WEB) -> None:
    with store.transaction() as t:
        t.put(key, document)


def test_every_acknowledged_write_survives_kill_9(tmp_path: Path) -> None:
    writer = run(WRITER, tmp_path / "data")
    assert writer.stdout is not None
    acknowledged: dict[str, int] = {}
    for _ in range(300):
        name, number = writer.stdout.readline().split()
        acknowledged[name] = int(number)
    writer.kill()
    for line in writer.communicate()[0].splitlines():
        if len(words := line.split()) == 2:
            acknowledged[words[0]] = int(words[1])
    store = SqliteStore(tmp_path / "data")
    for name, last in acknowledged.items():
        found = store.get(Key("", "Pod", f"default/{name}"))
        assert found is not None
        assert found.doc["number"] >= last
    assert [change.revision for change in store.changes(0)] == list(range(1, store.revision + 1))
    store.close()


TWO_WRITES = """
import sys
from kdl.runtime.store import Key, SqliteStore
store = SqliteStore(sys.argv[1])
for number in (1, 2):
    with store.transaction() as t:
        for name in ("a", "b"):
            t.put(Key("", "Pod", f"default/{name}"), {"metadata": {"name": name}, "number": number})
    print(number, flush=True)
"""


def test_death_at_any_fault_point_leaves_whole_transactions(tmp_path: Path) -> None:
    log = tmp_path / "points"
    run(TWO_WRITES, tmp_path / "counted", KDL_FAULT_LOG=str(log)).communicate()
    points = log.read_text().splitlines()
    assert points == ["store: before commit", "store: after commit"] * 3  # the first is the cluster uid
    for number in range(1, len(points) + 1):
        folder = tmp_path / f"data{number}"
        writer = run(TWO_WRITES, folder, KDL_FAULT=str(number))
        acknowledged = len(writer.communicate()[0].splitlines())
        assert writer.returncode == -9
        store = SqliteStore(folder)
        numbers = [item.doc["number"] for item in store.snapshot()[0]]
        store.close()
        assert numbers in ([], [1, 1], [2, 2])
        assert sum(numbers) >= 2 * acknowledged


def test_everything_is_there_after_reopening(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    document: dict[str, Any] = {"metadata": {"name": "web", "uid": "u1"}, "a": [1, 1.5, True, None, {"b": {}}]}
    with store.transaction() as t:
        t.put(WEB, document)
        t.put_source("u1", Source("web.yaml", {"/spec": 3}))
        t.put_meta("m", "1")
    uid, revision = store.cluster_uid, store.revision
    store.close()
    again = SqliteStore(tmp_path)
    found = again.get(WEB)
    assert found is not None
    assert (found.doc, found.revision) == (value(document), revision)
    assert (again.cluster_uid, again.meta("m"), again.revision) == (uid, "1", revision)
    assert again.source("u1") == Source("web.yaml", {"/spec": 3})
    again.close()


def test_a_revision_is_not_given_twice_when_the_last_write_was_a_deletion(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    put(store, {"a": 1})
    with store.transaction() as t:
        t.delete(WEB)
    store.close()
    again = SqliteStore(tmp_path)
    put(again, {"a": 2})
    assert again.revision == 3
    again.close()


def test_a_watch_resumes_over_a_restart_without_gap(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    for number in range(5):
        put(store, {"a": number})
    with store.transaction() as t:
        t.delete(WEB)
    before = store.changes(2)
    store.close()
    again = SqliteStore(tmp_path)
    put(again, {"a": 9})
    assert again.changes(2)[:-1] == before
    assert [change.revision for change in again.changes(2)] == [3, 4, 5, 6, 7]
    again.close()


def test_history_beyond_memory_comes_from_disk_and_beyond_that_is_gone(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, retain=5, history=20)
    put(store, {"still": "here"}, Key("", "Pod", "default/old"))
    for number in range(100):
        put(store, {"a": number})
    changes = store.changes(85)
    assert [change.revision for change in changes] == list(range(86, 102))
    assert all(change.previous is not None for change in changes)
    with pytest.raises(Gone):
        store.changes(70)
    store.close()
    again = SqliteStore(tmp_path)
    assert len(again.snapshot()[0]) == 2
    with sqlite3.connect(tmp_path / "store.sqlite") as database:
        assert database.execute("SELECT count(*) FROM versions").fetchone()[0] < 30
    database.close()
    again.close()


def test_a_second_process_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    holder = run(
        "import sys; from kdl.runtime.store import SqliteStore; s = SqliteStore(sys.argv[1]); print('up', flush=True);"
        "sys.stdin.read()",
        tmp_path,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "up\n"
        with pytest.raises(StoreError, match=f"in use by process {holder.pid}"):
            SqliteStore(tmp_path)
        assert owner(tmp_path) == holder.pid
    finally:
        holder.kill()
        holder.communicate()
    assert owner(tmp_path) is None
    SqliteStore(tmp_path).close()


def test_a_file_that_is_no_store_or_another_schema_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite").write_text("this is not a database, and longer than a header of one hundred bytes" * 9)
    with pytest.raises(StoreError, match="cannot be used as kdl's store"):
        SqliteStore(tmp_path)
    (tmp_path / "store.sqlite").unlink()
    SqliteStore(tmp_path).close()
    with sqlite3.connect(tmp_path / "store.sqlite") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StoreError, match="schema 99"):
        SqliteStore(tmp_path)


FIRST_SCHEMA = """
CREATE TABLE versions (
    revision INTEGER PRIMARY KEY, kind_group TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL,
    doc BLOB, previous INTEGER);
CREATE TABLE objects (
    kind_group TEXT, kind TEXT, id TEXT, revision INTEGER NOT NULL,
    PRIMARY KEY (kind_group, kind, id)) WITHOUT ROWID;
CREATE TABLE sources (uid TEXT PRIMARY KEY, file TEXT NOT NULL, lines BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO versions VALUES (1, '', 'Pod', 'default/web', '{"a":1}', NULL), (2, '', 'Pod', 'default/web', '{"a":2}', 1);
INSERT INTO objects VALUES ('', 'Pod', 'default/web', 2);
INSERT INTO sources VALUES ('u1', 'web.yaml', '{"/spec":3}');
INSERT INTO meta VALUES ('cluster', '11111111-1111-1111-1111-111111111111'), ('revision', '2');
PRAGMA user_version = 1;
"""


def test_a_file_of_the_first_schema_is_brought_to_this_one_with_all_that_is_in_it(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "store.sqlite") as database:
        database.executescript(FIRST_SCHEMA)
    database.close()
    for expected in (2, 3):
        store = SqliteStore(tmp_path)
        assert (store.cluster_uid, store.revision) == ("11111111-1111-1111-1111-111111111111", expected)
        assert store.source("u1") == Source("web.yaml", {"/spec": 3})
        found = store.get(WEB)
        assert found is not None
        assert (found.doc, found.managed) == (value({"a": expected}), () if expected == 2 else ({"manager": "me"},))
        assert [(c.revision, c.object.doc["a"]) for c in store.changes(0)] == [(n, n) for n in range(1, expected + 1)]
        if expected == 2:
            with store.transaction() as t:
                t.put(WEB, {"a": 3}, ({"manager": "me"},))
        store.close()


def test_the_store_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "data")
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0
    assert (tmp_path / "data" / "store.sqlite").stat().st_mode & 0o077 == 0
    store.close()
