"""What was recorded is enough: a replay gives the same facts and the same operations, tick by tick."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import kdl
from kdl.effects.diff import Comparison
from kdl.effects.driver import Operation
from kdl.fact import Fact, row
from kdl.rules.engine import Engine
from kdl.runtime.brain import effects_of
from kdl.runtime.clock import VirtualClock
from kdl.runtime.cluster import Cluster
from kdl.runtime.journal import FOLDER, Journal, entries, replay
from kdl.runtime.nodes import fake_nodes
from kdl.runtime.programs import compile as compile_program
from kdl.runtime.store import MemoryStore
from tests.runtime.shell.conftest import HELLO

MINUTE = 60_000

COUNTS = """
input rel e(a: any, b: any).
rel n(a: any, count: int).
n(A, N) :- e(A, _), N = count : { e(A, _) }.
rel late(a: any).
late(A) :- e(A, T), due(T).
"""


def everything(engine: Engine) -> dict[str, set[Any]]:
    return {name: engine.facts(name) for name in engine.program.relations}


def busy_cluster(folder: Path, journal: Journal, seed: int) -> tuple[Cluster, list[Operation]]:
    """A fake cluster through scaling, deletions and a lost pod, in an order of its own for each seed."""
    from kdl.parser.manifest.load import load

    chance, clock, done = random.Random(seed), VirtualClock(), []
    program = compile_program(kdl.shipped())
    store = MemoryStore()
    cluster = Cluster(
        program, store, fake_nodes(3, clock), clock, lambda operation, error: done.append(operation), journal
    )
    cluster.load()
    cluster.rest(clock, MINUTE)
    for manifest in load([HELLO]):
        cluster.objects.create(manifest.doc)
    for _ in range(6):
        cluster.rest(clock, chance.choice([50, 3_000, MINUTE]))
        pods = [item.key.id for item in cluster.objects.list("Pod")[0]]
        match chance.choice(["scale", "delete", "wait"]):
            case "scale":
                replicas = chance.randrange(5)
                cluster.objects.patch("Deployment", "default/hello", [("/spec/replicas", replicas)])
            case "delete" if pods:
                cluster.objects.delete("Pod", chance.choice(pods))
            case _:
                clock.advance(chance.randrange(MINUTE))
    cluster.rest(clock, MINUTE)
    return cluster, done


def test_a_replay_gives_the_same_facts_and_the_same_operations(tmp_path: Path):
    for seed in range(2):
        folder = tmp_path / str(seed)
        cluster, done = busy_cluster(folder, Journal(folder), seed)
        facts, open_differences = everything(cluster.brain.engine), dict(cluster.brain.comparison.differences)
        cluster.stop()
        comparison, wanted, last = Comparison(effects_of(cluster.program)), set(), None
        for moment in replay(folder):
            for relation, key in comparison.update(moment.delta):
                if (relation, key) in comparison.differences:
                    wanted.add((relation, key))
            last = moment.engine
        assert last is not None
        assert everything(last) == facts
        assert comparison.differences == open_differences
        assert {(operation.relation, operation.key) for operation in done} <= wanted
        assert len(done) > 20


def engine() -> Engine:
    return Engine(kdl.compile(COUNTS))


def test_a_moment_in_between_is_as_it_was(tmp_path: Path):
    journal, live = Journal(tmp_path), engine()
    history: list[tuple[int, dict[str, set[Any]]]] = []
    for step in range(1, 40):
        insert, remove = [Fact("e", row((step % 7, step * 10)))], []
        if step % 3 == 0:
            remove = [Fact("e", row(((step - 2) % 7, (step - 2) * 10)))]
        journal.record(live, step * 5, insert, remove)
        live.apply(insert, remove, now=step * 5)
        history.append((step * 5, everything(live)))
    journal.close()
    for at, facts in history:
        *_, last = replay(tmp_path, at)
        assert last.entry.at == at
        assert everything(last.engine) == facts


def test_values_come_back_as_they_were(tmp_path: Path):
    odd = row([True, 2**70, Decimal("0.1"), None, "ä\0", [1, [2.5]], {"a": {"b": [False, -(2**60)]}}])
    journal, live = Journal(tmp_path), engine()
    facts = [Fact("e", (item, item)) for item in odd]
    journal.record(live, 1, facts, [])
    journal.close()
    assert [fact for entry in entries(tmp_path) for fact in entry.insert] == facts


def test_what_the_engine_refused_never_was(tmp_path: Path):
    journal, live = Journal(tmp_path), engine()
    told = [[Fact("e", (step, 0))] for step in range(4)]
    for step, insert in enumerate(told):
        journal.record(live, step, insert, [])
        if step % 2:
            live.apply(insert, now=step)
        else:
            journal.retract()
    journal.record(live, 3, [], [])  # nothing comes of it, so there is nothing to take back
    journal.retract()
    journal.close()
    assert [entry.insert for entry in entries(tmp_path) if not entry.whole] == [tuple(told[1]), tuple(told[3])]


def test_old_segments_go_and_each_one_is_whole(tmp_path: Path):
    journal, live = Journal(tmp_path, segment=500, segments=3), engine()
    for step in range(1, 200):
        insert, remove = [Fact("e", (step, 0))], [Fact("e", (step - 5, 0))] if step > 5 else []
        journal.record(live, step, insert, remove)
        live.apply(insert, remove, now=step)
    journal.close()
    assert len(list((tmp_path / FOLDER).glob("*.jsonl"))) == 3
    first = next(entries(tmp_path))
    assert first.whole
    assert len(first.insert) == 5
    *_, last = replay(tmp_path)
    assert last.engine.facts("e") == live.facts("e")


def test_the_next_process_begins_a_segment_and_a_torn_line_is_none(tmp_path: Path):
    for step in (1, 2):
        journal, live = Journal(tmp_path), engine()
        journal.record(live, step, [Fact("e", (step, 0))], [])
        journal.close()
    newest = sorted((tmp_path / FOLDER).glob("*.jsonl"))[-1]
    newest.write_bytes(newest.read_bytes() + b'{"at": 3, "in": [["e", [3,')
    *_, last = replay(tmp_path)
    assert last.engine.facts("e") == {(2, 0)}


def test_another_program_begins_a_segment_with_its_own_texts(tmp_path: Path):
    journal, live = Journal(tmp_path), engine()
    journal.record(live, 1, [Fact("e", (1, 0))], [])
    live.apply([Fact("e", (1, 0))], now=1)
    other = Engine(kdl.compile(COUNTS + "rel more(a: any).\nmore(A) :- e(A, _).\n"))
    other.apply([Fact("e", (1, 0))], now=1)
    journal.record(other, 2, [Fact("e", (2, 0))], [])
    journal.close()
    moments = list(replay(tmp_path))
    assert "more" not in moments[0].engine.program.relations
    assert moments[-1].engine.facts("more") == {(1,), (2,)}


def test_a_clock_that_wakes_nobody_is_not_recorded(tmp_path: Path):
    journal, live = Journal(tmp_path), engine()
    journal.record(live, 1, [Fact("e", (1, 100))], [])
    live.apply([Fact("e", (1, 100))], now=1)
    for now in (2, 50, 100, 101):
        journal.record(live, now, [], [])
        live.apply(now=now)
    journal.close()
    assert [entry.at for entry in entries(tmp_path) if not entry.whole] == [1, 100]


def test_a_full_disk_ends_the_recording_and_nothing_else(tmp_path: Path, caplog):
    journal, live = Journal(tmp_path), engine()
    (tmp_path / FOLDER).write_text("a file where the folder should be")
    journal.record(live, 1, [Fact("e", (1, 0))], [])
    journal.record(live, 2, [Fact("e", (2, 0))], [])
    assert caplog.text.count("history is no longer recorded") == 1
