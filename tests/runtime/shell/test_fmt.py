"""`kdl fmt` as it is called."""

from __future__ import annotations

from pathlib import Path

from tests.runtime.shell.conftest import Kdl

UNTIDY = "rel p(a:int).\np( 1 ) .   # one\n"
TIDY = "rel p(a: int).\np(1).  # one\n"


def test_files_are_brought_to_their_form_and_stay_in_it(kdl: Kdl, tmp_path: Path) -> None:
    (tmp_path / "a.dl").write_text(UNTIDY)
    (tmp_path / "b.dl").write_text(TIDY)
    said = kdl("fmt", tmp_path)
    assert (said.code, said.out) == (0, f"changed {tmp_path}/a.dl\n")
    assert (tmp_path / "a.dl").read_text() == TIDY
    assert kdl("fmt", "--check", tmp_path).code == 0


def test_check_and_diff_write_nothing_and_end_with_1(kdl: Kdl, tmp_path: Path) -> None:
    file = tmp_path / "a.dl"
    file.write_text(UNTIDY)
    assert kdl("fmt", "--check", file).code == 1
    said = kdl("fmt", "--diff", file)
    assert said.code == 1
    assert "-rel p(a:int).\n-p( 1 ) .   # one\n+rel p(a: int).\n+p(1).  # one\n" in said.out
    assert file.read_text() == UNTIDY


def test_standard_input_is_printed_in_its_form(kdl: Kdl) -> None:
    assert kdl("fmt", "-", stdin=UNTIDY).out == TIDY
    assert kdl("fmt", "-", "x.dl", stdin=UNTIDY).code == 2


def test_a_file_with_a_mistake_is_told_and_the_others_are_formatted(kdl: Kdl, tmp_path: Path) -> None:
    (tmp_path / "a.dl").write_text("rel p(a: int)\n")
    (tmp_path / "b.dl").write_text(UNTIDY)
    said = kdl("fmt", tmp_path)
    assert said.code == 2
    assert said.err.startswith("error[KDL101]")
    assert (tmp_path / "a.dl").read_text() == "rel p(a: int)\n"
    assert (tmp_path / "b.dl").read_text() == TIDY
    assert kdl("fmt", tmp_path / "none").code == 2
