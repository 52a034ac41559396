"""Rows with counts, and indexes that follow late."""

from __future__ import annotations

from random import Random

from kdl.rules.relation import Table


def filled(*rows: tuple[object, ...]) -> Table:
    table = Table("r", 2)
    change(table, dict.fromkeys(rows, 1))
    return table


def change(table: Table, changes: dict[tuple[object, ...], int]) -> dict[tuple[object, ...], int]:
    table.pending = dict(changes)  # type: ignore[arg-type]
    table.settle()
    undo = table.commit()
    table.forget()
    return undo  # type: ignore[return-value]


def test_a_row_with_two_derivations_survives_the_loss_of_one():
    table = filled((1, 2))
    change(table, {(1, 2): 1})
    change(table, {(1, 2): -1})
    assert (1, 2) in table.rows
    change(table, {(1, 2): -1})
    assert not table.rows


def test_a_change_that_cancels_adds_and_removes_nothing():
    table = filled((1, 2))
    table.pending = {(1, 2): 0, (3, 4): 0}
    table.settle()
    assert not table.added
    assert not table.removed


def test_an_index_is_the_same_object_and_level_with_the_rows_after_catching_up():
    table = filled((1, 2), (1, 3), (2, 3))
    index = table.access((0,))
    buckets = index.catch_up()
    change(table, {(1, 2): -1, (4, 5): 1})
    assert index.behind
    assert index.catch_up() is buckets
    assert buckets == {1: ((1, 3),), 2: ((2, 3),), 4: ((4, 5),)}


def test_an_index_that_nobody_reads_does_not_keep_every_change():
    table = filled((0, 0))
    index = table.access((0,))
    index.catch_up()
    for number in range(5000):
        change(table, {(1, number): 1})
        change(table, {(1, number): -1})
    assert index.lateness < 1000
    assert table.index((0,)) == {0: ((0, 0),)}


def test_an_index_of_an_emptied_table_is_empty():
    table = filled((1, 2))
    buckets = table.index((1,))
    table.restore({})
    assert table.index((1,)) is buckets
    assert buckets == {}


def test_lookup_finds_by_no_one_some_and_all_columns():
    table = filled((1, 2), (1, 3), (2, 3))
    assert set(table.lookup({})) == {(1, 2), (1, 3), (2, 3)}
    assert set(table.lookup({1: 3})) == {(1, 3), (2, 3)}
    assert tuple(table.lookup({0: 1, 1: 3})) == ((1, 3),)
    assert tuple(table.lookup({0: 2, 1: 2})) == ()


def test_before_a_change_is_applied_rules_can_see_the_rows_after_it():
    table = filled((1, 2), (1, 3))
    table.pending = {(1, 2): -1, (1, 4): 1}
    table.settle()
    assert set(table.matching_after((0,), 1)) == {(1, 3), (1, 4)}
    assert set(table.matching_after((), None)) == {(1, 3), (1, 4)}
    assert [table.will_hold(row) for row in ((1, 2), (1, 3), (1, 4))] == [False, True, True]


def test_after_a_change_is_applied_rules_can_see_whether_there_was_a_row_before_it():
    table = filled((1, 2), (5, 6))
    table.pending = {(1, 2): -1, (5, 7): 1, (8, 8): 1}
    table.settle()
    table.commit()
    assert [table.held((0,), key) for key in (1, 5, 8, 9)] == [True, True, False, False]
    assert [table.held((0, 1), row) for row in ((1, 2), (5, 7), (5, 6))] == [True, False, True]
    assert table.held((), None)


def test_undo_brings_counts_and_indexes_back():
    table = filled((1, 2), (1, 3))
    change(table, {(1, 3): 1})
    table.index((0,))
    before = dict(table.rows)
    undo = change(table, {(1, 2): -1, (1, 3): -1, (7, 7): 2})
    table.undo(undo)
    assert table.rows == before
    assert {key: sorted(rows) for key, rows in table.index((0,)).items()} == {1: [(1, 2), (1, 3)]}


def test_an_estimate_knows_the_fan_out_of_a_built_index_and_else_samples():
    chance = Random(1)
    table = filled(*[(chance.randrange(50), number, chance.randrange(350)) for number in range(20_000)])
    assert table.estimate(()) == 20_000
    assert 350 < table.estimate((0,)) < 450
    assert table.estimate((1,)) < 6
    assert 30 < table.estimate((2,)) < 80
    table.index((2,))
    assert table.estimate((2,)) == 20_000 / 350


def test_an_index_has_each_row_once_however_rows_come_and_go():
    table, there, chance = Table("r", 2), set(), Random(1)
    buckets = table.index((0,))
    for _ in range(60):
        rows = {(chance.randrange(3), chance.randrange(12)) for _ in range(6)}
        change(table, {row: -1 if row in there else 1 for row in rows})
        there ^= rows
        table.index((0,))
        expected = {key: sorted(row for row in there if row[0] == key) for key in {row[0] for row in there}}
        assert {key: sorted(found) for key, found in buckets.items()} == expected
