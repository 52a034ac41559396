"""A backup holds one moment of a cluster, and comes back as that."""

from __future__ import annotations

import stat
import tarfile
import threading
from pathlib import Path

import pytest

from kdl.runtime.store import Key, SqliteStore, StoreError
from kdl.runtime.store.backup import backup, restore


def write(store: SqliteStore, number: int) -> None:
    """Two objects that always change together."""
    with store.transaction() as t:
        for name in ("left", "right"):
            t.put(Key("", "ConfigMap", f"default/{name}"), {"metadata": {"name": name}, "number": number})


def numbers(folder: Path) -> list[object]:
    store = SqliteStore(folder)
    try:
        return [item.doc["number"] for item in store.snapshot("", "ConfigMap")[0]]
    finally:
        store.close()


def test_a_backup_of_a_busy_store_is_of_one_moment_and_goes_on_from_there(tmp_path: Path):
    store, over = SqliteStore(tmp_path / "data"), threading.Event()
    write(store, 0)

    def busy() -> None:
        number = 0
        while not over.is_set():
            number += 1
            write(store, number)

    writer = threading.Thread(target=busy)
    writer.start()
    try:
        revisions = [backup(tmp_path / "data", tmp_path / f"b{i}.tar") for i in range(3)]
    finally:
        over.set()
        writer.join()
    assert revisions == sorted(revisions)
    for i, revision in enumerate(revisions):
        assert restore(tmp_path / f"b{i}.tar", tmp_path / f"r{i}") == revision
        left, right = numbers(tmp_path / f"r{i}")
        assert left == right
    uid = store.cluster_uid
    store.close()
    again = SqliteStore(tmp_path / "r0")
    assert (again.revision, again.cluster_uid) == (revisions[0], uid)
    write(again, 1_000_000)
    assert [change.revision for change in again.changes(again.revision - 2)] == [revisions[0] + 1, revisions[0] + 2]
    again.close()


def test_keys_beside_the_store_are_kept_and_what_is_of_a_process_is_not(tmp_path: Path):
    data = tmp_path / "data"
    SqliteStore(data).close()
    (data / "token").write_text("secret")
    (data / "token").chmod(0o600)
    (data / "pki").mkdir()
    (data / "pki" / "ca.key").write_text("key")
    (data / "endpoint").write_text("http://127.0.0.1:1")
    (data / "up.log").write_text("noise")
    backup(data, tmp_path / "b.tar")
    assert stat.S_IMODE((tmp_path / "b.tar").stat().st_mode) == 0o600
    restore(tmp_path / "b.tar", tmp_path / "again")
    found = {str(path.relative_to(tmp_path / "again")) for path in (tmp_path / "again").rglob("*")}
    assert found == {"lock", "store.sqlite", "token", "pki", "pki/ca.key"}
    assert stat.S_IMODE((tmp_path / "again" / "token").stat().st_mode) == 0o600


def test_nothing_is_overwritten_and_nothing_is_left_of_a_wrong_backup(tmp_path: Path):
    SqliteStore(tmp_path / "data").close()
    backup(tmp_path / "data", tmp_path / "b.tar")
    with pytest.raises(StoreError, match="there is a cluster in"):
        restore(tmp_path / "b.tar", tmp_path / "data")
    with pytest.raises(StoreError, match="there is no cluster in"):
        backup(tmp_path / "nowhere", tmp_path / "c.tar")
    assert not (tmp_path / "c.tar").exists()
    (tmp_path / "text.tar").write_text("no archive")
    with pytest.raises(StoreError, match=r"no backup of kdl"):
        restore(tmp_path / "text.tar", tmp_path / "new")
    whole = (tmp_path / "b.tar").read_bytes()
    (tmp_path / "damaged.tar").write_bytes(whole[:5000] + b"x" * 4000 + whole[9000:])
    with pytest.raises(StoreError, match="damaged"):
        restore(tmp_path / "damaged.tar", tmp_path / "new")
    assert not (tmp_path / "new" / "store.sqlite").exists()


def test_a_backup_with_paths_that_lead_out_is_refused(tmp_path: Path):
    SqliteStore(tmp_path / "data").close()
    backup(tmp_path / "data", tmp_path / "b.tar")
    (tmp_path / "evil").write_text("evil")
    with tarfile.open(tmp_path / "b.tar", "a") as archive:
        archive.add(tmp_path / "evil", "../outside")
    with pytest.raises(StoreError, match="no backup of kdl"):
        restore(tmp_path / "b.tar", tmp_path / "sub" / "new")
    assert not (tmp_path / "sub" / "outside").exists()
