"""What every store promises; each claim is held against every store."""

from __future__ import annotations

import gc
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from kdl.fact import Document, value
from kdl.runtime.store import Change, Gone, Key, MemoryStore, Object, Source, SqliteStore, Store, StoreError
from kdl.runtime.store.memory import RETAINED

WEB = Key("", "Pod", "default/web")
DB = Key("", "Pod", "default/db")
NODE = Key("", "Node", "n1")

Make = Callable[..., Store]


def doc(**fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": "x", "uid": fields.pop("uid", "u1")}, **fields}


@pytest.fixture(params=["memory", "sqlite"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    made: list[Store] = []

    def make_one(retain: int = 100, retain_bytes: int = RETAINED) -> Store:
        store: Store = (
            MemoryStore(retain, retain_bytes)
            if request.param == "memory"
            else SqliteStore(tmp_path / "data", retain=retain, history=retain, retain_bytes=retain_bytes)
        )
        made.append(store)
        return store

    yield make_one
    for store in made:
        store.close()


@pytest.fixture
def store(make: Make) -> Store:
    return make()


def put(store: Store, key: Key, document: dict[str, Any]) -> int:
    with store.transaction() as t:
        return t.put(key, document).revision


def told(store: Store, **options: Any) -> list[Change]:
    heard: list[Change] = []
    store.subscribe(heard.extend, **options)
    return heard


def test_what_is_put_can_be_read_as_a_document_at_its_revision(store: Store) -> None:
    revision = put(store, WEB, doc(spec={"replicas": 1, "paused": True}))
    found = store.get(WEB)
    assert found is not None
    assert (found.revision, found.uid, found.doc) == (revision, "u1", value(doc(spec={"replicas": 1, "paused": True})))
    assert isinstance(found.doc["spec"], Document)
    assert store.revision == revision


def test_revisions_count_all_writes_of_the_store_without_gaps(store: Store) -> None:
    first = put(store, WEB, doc(a=1))
    with suppress(ZeroDivisionError), store.transaction() as t:
        t.put(WEB, doc(a=2))
        raise ZeroDivisionError
    with store.transaction() as t:
        assert [t.put(DB, doc(a=1)).revision, t.put(NODE, doc(a=1)).revision] == [first + 1, first + 2]
        t.delete(DB)
    assert store.revision == first + 3


def test_resource_version_and_managed_fields_are_not_part_of_a_stored_document(store: Store) -> None:
    put(store, WEB, {"metadata": {"name": "web", "resourceVersion": "7", "managedFields": []}})
    found = store.get(WEB)
    assert found is not None
    assert found.doc == {"metadata": {"name": "web"}}


def test_putting_what_is_there_writes_nothing(store: Store) -> None:
    revision = put(store, WEB, doc(a=1, gone=None))
    assert put(store, WEB, doc(a=1)) == revision
    assert store.revision == revision


def test_true_and_one_are_different_documents(store: Store) -> None:
    revision = put(store, WEB, doc(a=1))
    assert put(store, WEB, doc(a=True)) == revision + 1


def test_what_objects_have_in_common_is_in_memory_once(make: Make) -> None:
    def written(name: str, note: str = "") -> Any:
        spec = {"containers": [{"name": "app", "image": "registry.example.com/app:1"}], "node": f"node {name}"}
        return json.loads(json.dumps({"metadata": {"name": name, "note": note}, "spec": spec}))

    store = make()
    with store.transaction() as t:
        t.put(WEB, written("web"))
        t.put(DB, written("db"))
        t.put(NODE, written("large", "x" * 20_000))
    for found in (store, reopened(store, make)):
        web, db, large = (found.get(key).doc["spec"] for key in (WEB, DB, NODE))  # type: ignore[union-attr]
        assert (web["node"], db["node"]) == ("node web", "node db")
        assert web["containers"] is db["containers"]
        assert web["containers"] == large["containers"]
        assert web["containers"] is not large["containers"]  # nothing that is remembered is of a large document


def reopened(store: Store, make: Make) -> Store:
    """The store as another process finds it; one in memory is the same."""
    if isinstance(store, SqliteStore):
        store.close()
        return make()
    return store


def test_a_dropped_transaction_leaves_no_trace(store: Store) -> None:
    put(store, WEB, doc(a=1))
    heard = told(store)
    with suppress(ZeroDivisionError), store.transaction() as t:
        t.put(WEB, doc(a=2))
        t.delete(WEB)
        t.put(DB, doc())
        t.put_meta("m", "1")
        t.put_source("u1", Source("x.yaml"))
        raise ZeroDivisionError
    assert store.get(WEB).doc["a"] == 1  # type: ignore[union-attr]
    assert (store.get(DB), store.meta("m"), store.source("u1"), heard) == (None, None, None, [])


def test_a_transaction_reads_its_own_writes_and_nobody_else_does(store: Store) -> None:
    put(store, WEB, doc(a=1))
    with store.transaction() as t:
        t.put(WEB, doc(a=2))
        t.put(DB, doc(uid="u2"))
        assert t.get(WEB).doc["a"] == 2  # type: ignore[union-attr]
        assert {item.key for item in t.objects("", "Pod")} == {WEB, DB}
        t.delete(WEB)
        assert t.get(WEB) is None
        assert t.before(WEB).doc["a"] == 1  # type: ignore[union-attr]
        assert t.before(DB) is None
        assert {item.key for item in t.objects("", "Pod")} == {DB}
        assert store.get(WEB).doc["a"] == 1  # type: ignore[union-attr]
        assert {item.key for item in store.snapshot("", "Pod")[0]} == {WEB}
    assert store.get(WEB) is None


def test_what_is_committed_without_waiting_is_seen_by_transactions_only_until_it_is_flushed(store: Store) -> None:
    heard = told(store)
    with store.transaction(wait=False) as t:
        t.put(WEB, doc(a=1))
        t.put_meta("m", "1")
    assert (store.get(WEB), store.meta("m"), heard) == (None, None, [])
    with store.transaction(wait=False) as t:
        assert t.get(WEB) is not None
        assert [item.key for item in t.objects("", "Pod")] == [WEB]
        assert t.meta("m") == "1"
        t.delete(WEB)
    with store.transaction(wait=False) as t:
        assert t.get(WEB) is None
        t.put(WEB, doc(a=2))
    store.flush()
    assert [(change.type, change.revision) for change in heard] == [("ADDED", 1), ("DELETED", 2), ("ADDED", 3)]
    assert store.get(WEB).doc["a"] == 2  # type: ignore[union-attr]


def test_a_transaction_is_told_of_all_changes_in_order_durable_or_not(store: Store) -> None:
    put(store, WEB, doc(a=1))
    for number in (2, 3):
        with store.transaction(wait=False) as t:
            t.put(WEB, doc(a=number))
    with store.transaction() as t:
        t.put(DB, doc(a=4))
        assert [change.object.doc["a"] for change in t.since(0)] == [1, 2, 3, 4]
        assert [change.object.doc["a"] for change in t.since(2)] == [3, 4]
        assert t.since(4) == []
    with store.transaction() as t:
        assert [change.revision for change in t.since(1)] == [2, 3, 4]


def test_changes_carry_type_object_and_what_was_before(store: Store) -> None:
    heard = told(store)
    put(store, WEB, doc(a=1))
    put(store, WEB, doc(a=2))
    with store.transaction() as t:
        t.delete(WEB)
    shape = [
        (c.type, c.revision, c.object.doc["a"], c.previous and (c.previous.revision, c.previous.doc["a"]))
        for c in heard
    ]
    assert shape == [("ADDED", 1, 1, None), ("MODIFIED", 2, 2, (1, 1)), ("DELETED", 3, 2, (2, 2))]


def test_a_deleted_object_is_gone_and_deleting_again_is_no_write(store: Store) -> None:
    put(store, WEB, doc())
    for _ in range(2):
        with store.transaction() as t:
            t.delete(WEB)
    assert (store.get(WEB), store.revision) == (None, 2)


def test_a_subscriber_hears_of_its_kind_only(store: Store) -> None:
    pods = told(store, of=("", "Pod"))
    with store.transaction() as t:
        t.put(NODE, doc())
        t.put(WEB, doc())
    assert [change.object.key for change in pods] == [WEB]


def test_a_subscriber_that_stopped_hears_no_more(store: Store) -> None:
    heard: list[Change] = []
    stop = store.subscribe(heard.extend)
    put(store, WEB, doc())
    stop()
    put(store, DB, doc())
    assert len(heard) == 1


def test_a_subscriber_that_fails_harms_neither_the_writer_nor_others(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(changes: Sequence[Change]) -> None:
        raise ZeroDivisionError

    store.subscribe(fail)
    heard = told(store)
    put(store, WEB, doc())
    assert (len(heard), "a subscriber of the store failed" in caplog.text) == (1, True)


def test_a_subscriber_may_read_and_stop_itself_while_it_is_told(store: Store) -> None:
    seen: list[int] = []

    def tell(changes: Sequence[Change]) -> None:
        seen.append(store.snapshot()[1])
        stop()

    stop = store.subscribe(tell)
    put(store, WEB, doc())
    put(store, DB, doc())
    assert seen == [1]


def test_a_subscriber_hears_nothing_before_it_can_be_read(store: Store) -> None:
    seen: list[bool] = []

    def tell(changes: Sequence[Change]) -> None:
        seen.extend(store.get(change.object.key) is not None for change in changes)

    store.subscribe(tell)
    put(store, WEB, doc())
    assert seen == [True]


def test_a_subscriber_from_a_revision_first_hears_what_it_missed(store: Store) -> None:
    for number in range(5):
        put(store, WEB, doc(a=number))
    heard = told(store, since=2)
    put(store, WEB, doc(a=5))
    assert [change.revision for change in heard] == [3, 4, 5, 6]


def test_changes_that_are_no_longer_known_are_gone_not_skipped(make: Make) -> None:
    store = make(retain=10)
    for number in range(40):
        put(store, WEB, doc(a=number))
    assert [change.revision for change in store.changes(30)] == list(range(31, 41))
    with pytest.raises(Gone):
        store.changes(3)
    with pytest.raises(Gone):
        store.subscribe(lambda changes: None, since=3)


def test_large_documents_of_the_past_do_not_stay_in_memory(make: Make) -> None:
    """Of what has gone as well; what is on disk is still told."""
    store = make(retain=1000, retain_bytes=10_000)
    for number in range(100):
        put(store, WEB, doc(a="x" * 2_000, large=number))
        with store.transaction() as t:
            t.delete(WEB)
    assert sum(isinstance(item, Document) and "large" in item for item in gc.get_objects()) < 10
    assert len(store.changes(198)) == 2
    if isinstance(store, SqliteStore):
        assert len(store.changes(0)) == 200
    else:
        with pytest.raises(Gone):
            store.changes(0)


def test_what_is_known_of_the_past_has_an_edge_that_is_told(make: Make) -> None:
    store = make(retain=10)
    for number in range(100):
        put(store, WEB, doc(a=number))
    with pytest.raises(Gone) as gone:
        store.changes(0)
    oldest = gone.value.oldest
    assert 0 < oldest <= 90
    assert [change.revision for change in store.changes(oldest)] == list(range(oldest + 1, 101))
    with pytest.raises(Gone):
        store.changes(oldest - 1)
    heard = told(store, since=oldest)
    put(store, WEB, doc(a=100))
    assert [change.revision for change in heard] == list(range(oldest + 1, 102))
    with store.transaction() as t, pytest.raises(Gone):
        t.since(oldest - 1)


def test_a_revision_of_the_future_is_gone_too(store: Store) -> None:
    put(store, WEB, doc())
    with pytest.raises(Gone):
        store.changes(99)


def test_a_mark_comes_after_the_changes_up_to_it(store: Store) -> None:
    heard: list[object] = []
    store.subscribe(lambda changes: heard.extend(change.revision for change in changes))
    put(store, WEB, doc())
    store.mark(lambda revision: heard.append(("mark", revision)))
    assert heard == [1, ("mark", 1)]


def test_a_snapshot_is_of_one_revision(store: Store) -> None:
    put(store, WEB, doc())
    put(store, NODE, doc())
    pods, revision = store.snapshot("", "Pod")
    assert ([item.key for item in pods], revision) == ([WEB], 2)
    assert {item.key for item in store.snapshot()[0]} == {WEB, NODE}


@contextmanager
def busy(store: Store) -> Iterator[None]:
    """Two objects that are always written together, again and again, and a third that comes and goes."""
    over = threading.Event()

    def write() -> None:
        number = 0
        while not over.is_set():
            number += 1
            with store.transaction() as t:
                t.put(WEB, doc(number=number))
                t.put(DB, doc(number=number))
                if number % 2:
                    t.put(NODE, doc(number=number))
                else:
                    t.delete(NODE)

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        yield
    finally:
        over.set()
        for writer in writers:
            writer.join()


def replayed(items: Sequence[Object], changes: Sequence[Change]) -> dict[Key, Object]:
    """What there is after some changes of what there was."""
    found = {item.key: item for item in items}
    for change in changes:
        assert found.get(change.object.key) == change.previous
        if change.type == "DELETED":
            del found[change.object.key]
        else:
            found[change.object.key] = change.object
    return found


def test_a_snapshot_is_of_one_revision_while_writes_go_on(store: Store) -> None:
    put(store, WEB, doc(number=0))
    put(store, DB, doc(number=0))
    with busy(store):
        for _ in range(50):
            items, revision = store.snapshot("", "Pod")
            assert len({item.doc["number"] for item in items}) == 1
            assert max(item.revision for item in items) <= revision
            everything, _ = store.snapshot()
            pods = {item.doc["number"] for item in everything if item.key.kind == "Pod"}
            assert len(pods) == 1


def test_a_snapshot_and_what_is_told_from_its_revision_on_miss_nothing_and_tell_nothing_twice(make: Make) -> None:
    store = make(retain=100_000)
    followed: list[tuple[list[Object], list[Change]]] = []
    with busy(store):
        for _ in range(10):
            items, revision = store.snapshot()
            followed.append((items, told(store, since=revision)))
    everything = {item.key: item for item in store.snapshot()[0]}
    for items, heard in followed:
        assert replayed(items, heard) == everything


def test_writes_that_come_while_the_disk_is_busy_are_made_durable_together(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard, batches, release = told(store), list[int](), threading.Event()
    persist = store._persist  # type: ignore[attr-defined]

    def slow(batch: Sequence[object]) -> None:
        batches.append(len(batch))
        release.wait(10)
        persist(batch)

    monkeypatch.setattr(store, "_persist", slow)
    writers = [
        threading.Thread(target=put, args=(store, Key("", "Pod", f"default/p{n}"), doc(number=n))) for n in range(20)
    ]
    for writer in writers:
        writer.start()
    end = time.monotonic() + 10
    while len(batches) + len(store._queue) < 20 and time.monotonic() < end:  # type: ignore[attr-defined]
        time.sleep(0.001)
    assert (store.revision, heard) == (0, [])  # nothing is acknowledged, read or told before it is durable
    release.set()
    for writer in writers:
        writer.join()
    assert sum(batches) == 20
    assert len(batches) == 2
    assert [change.revision for change in heard] == list(range(1, 21))
    assert len(store.snapshot()[0]) == 20


def test_a_source_lives_as_long_as_its_object(store: Store) -> None:
    with store.transaction() as t:
        t.put(WEB, doc(uid="u7"))
        t.put_source("u7", Source("web.yaml", {"/spec": 3}))
    assert store.source("u7") == Source("web.yaml", {"/spec": 3})
    with store.transaction() as t:
        t.delete(WEB)
    assert store.source("u7") is None


def test_the_cluster_has_one_uid(store: Store) -> None:
    assert len(store.cluster_uid) == 36


@pytest.mark.parametrize("bad", [2**70, "\ud800"])
def test_what_json_cannot_hold_is_refused_and_harms_nobody_else(store: Store, bad: object) -> None:
    with store.transaction() as t:
        with pytest.raises(ValueError, match="cannot be stored"):
            t.put(WEB, doc(a=bad))
        t.put(DB, doc())
    assert (store.get(WEB), store.get(DB) is None, store.revision) == (None, False, 1)


def test_a_transaction_that_is_over_refuses_writes(store: Store) -> None:
    with store.transaction() as t:
        pass
    with pytest.raises(RuntimeError):
        t.put(WEB, doc())


def test_a_transaction_within_a_transaction_is_an_error_not_a_deadlock(store: Store) -> None:
    with store.transaction():
        with pytest.raises(RuntimeError), store.transaction():
            pass
        with pytest.raises(RuntimeError):
            store.flush()


def test_concurrent_transactions_lose_no_update_and_are_told_in_order(store: Store) -> None:
    heard = told(store)
    put(store, WEB, doc(count=0))

    def count() -> None:
        for _ in range(50):
            with store.transaction() as t:
                found = t.get(WEB)
                assert found is not None
                t.put(WEB, doc(count=found.doc["count"] + 1))

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.get(WEB).doc["count"] == 400  # type: ignore[union-attr]
    assert [change.object.doc["count"] for change in heard] == list(range(401))
    assert [change.revision for change in heard] == list(range(1, 402))


def test_a_write_that_cannot_be_made_durable_is_reported_and_undone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, WEB, doc(a=1))
    heard = told(store)

    def refuse(batch: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(store, "_persist", refuse)
        with store.transaction(wait=False) as t:
            t.put(WEB, doc(a=2))
        with pytest.raises(StoreError, match="no space left"), store.transaction() as t:
            t.put(DB, doc())
    with store.transaction() as t:
        assert t.get(WEB).doc["a"] == 1  # type: ignore[union-attr]
        assert t.get(DB) is None
    assert put(store, DB, doc()) == 2
    assert [change.object.key for change in heard] == [DB]
