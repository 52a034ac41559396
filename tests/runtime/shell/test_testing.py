"""`kdl test` as it is called."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.runtime.shell.conftest import Kdl, eventually, start

PACK = """\
input rel e(a: int).
rel q(a: int).
q(A) :- e(A), A > 1.
q(A + 10) :- e(A), A < 0.
test "two" {
    given e(2).
    expect q(2).
}
test "one" {
    given e(1).
    expect q(1).
}
"""


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    file = tmp_path / "numbers" / "p.dl"
    file.parent.mkdir()
    file.write_text(PACK)
    return file


def test_a_failure_is_told_with_its_reason(kdl: Kdl, pack: Path) -> None:
    said = kdl("test", "--alone", pack)
    assert said.code == 1
    assert f"{pack}:11:5: expected q(1), which does not hold" in said.out
    assert "A > 1" in said.out
    assert "1 passed, 1 failed" in said.out


def test_coverage_lists_the_rules_that_never_derived_anything(kdl: Kdl, pack: Path) -> None:
    said = kdl("test", "--alone", "--coverage", pack)
    assert f"never derived: {pack}:4  q(A + 10)\n" in said.out
    assert " 50 % of rules derived something in numbers (1 of 2)\n" in said.out
    (told,) = json.loads(kdl("test", "--alone", "--coverage", pack, "-o", "json").out)["coverage"]
    assert (told["pack"], told["rules"], told["derived"]) == ("numbers", 2, 1)
    assert told["missing"] == [{"place": f"{pack}:4", "head": "q(A + 10)"}]
    assert "coverage" not in json.loads(kdl("test", "--alone", pack, "-o", "json").out)


def test_coverage_is_that_of_the_packs_that_are_named(kdl: Kdl, pack: Path) -> None:
    told = json.loads(kdl("test", "--coverage", pack, "-k", "two", "-o", "json").out)
    assert [covered["pack"] for covered in told["coverage"]] == ["numbers"]


def test_results_are_written_for_a_ci_system(kdl: Kdl, pack: Path, tmp_path: Path) -> None:
    assert kdl("test", "--alone", pack, "--junit", tmp_path / "results.xml").code == 1
    (suite,) = ElementTree.parse(tmp_path / "results.xml").getroot()
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == (str(pack), "2", "1")
    passed, failed = suite
    assert (passed.get("name"), passed.get("line"), len(passed)) == ("two", "5", 0)
    assert failed[0].get("message") == "expected q(1), which does not hold"
    assert "A > 1" in (failed[0].text or "")


def test_watching_runs_the_tests_again_after_each_change(pack: Path) -> None:
    process = start("test", "--alone", "--watch", pack)
    assert process.stdout is not None
    output = process.stdout.fileno()
    os.set_blocking(output, False)
    seen = ""

    def saw(text: str, times: int = 1) -> bool:
        nonlocal seen
        with contextlib.suppress(BlockingIOError):
            seen += os.read(output, 100_000).decode()
        return seen.count(text) >= times

    try:
        eventually(lambda: saw("1 passed, 1 failed") and saw("waiting for a change"))
        pack.write_text(PACK.replace("A > 1.", "A > 0"))
        eventually(lambda: saw("error[KDL1") and saw("waiting for a change", 2))
        pack.write_text(PACK.replace("A > 1", "A > 0"))
        eventually(lambda: saw("2 passed, 0 failed") and saw("waiting for a change", 3))
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        process.stdout.close()
