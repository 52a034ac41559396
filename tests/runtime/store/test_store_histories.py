"""A law: whatever is done, the store on disk is the store in memory, also after it was closed and opened again."""

from __future__ import annotations

from contextlib import suppress
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from kdl.runtime.store import Key, MemoryStore, SqliteStore, Store

KEYS = st.sampled_from([Key("", "Pod", "a/x"), Key("", "Pod", "a/y"), Key("apps", "Deployment", "a/x")])
WRITES = st.lists(st.tuples(KEYS, st.none() | st.integers(0, 3)), min_size=1, max_size=4)
STEPS = st.lists(st.tuples(st.sampled_from(["wait", "queue", "drop", "reopen"]), WRITES), max_size=12)


def write(store: Store, how: str, writes: list[tuple[Key, int | None]]) -> None:
    with suppress(ZeroDivisionError), store.transaction(wait=how == "wait") as t:
        for key, number in writes:
            if number is None:
                t.delete(key)
            else:
                t.put(key, {"metadata": {"uid": key.id}, "number": number})
        if how == "drop":
            raise ZeroDivisionError


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_the_store_on_disk_is_the_store_in_memory(steps: list[tuple[str, list[tuple[Key, int | None]]]]) -> None:
    with TemporaryDirectory() as folder:
        memory, disk = MemoryStore(), SqliteStore(folder)
        for how, writes in steps:
            write(memory, how, writes)
            write(disk, how, writes)
            if how == "reopen":
                memory.flush()
                disk.close()
                disk = SqliteStore(folder)
            assert disk.revision == memory.revision
            assert set(disk.snapshot()[0]) == set(memory.snapshot()[0])
        assert disk.changes(0) == memory.changes(0)
        disk.close()
