"""The core cases of the package `datalog-conformance`, harvested from Soufflé's, Nemo's and Crepe's own tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml
from datalog_conformance import schema
from datalog_conformance.plugin import get_tests_dir
from datalog_conformance.runner import ConformanceFailure, YamlTestRunner

from .datalog import Evaluator

OTHERWISE: Final = {
    "unsafe_negation_variable_only_in_negative_literal": (
        "a variable that is only in a negation means `no such value`, as in the suite's own cases from Nemo"
    ),
}
"""Cases that kdl means to answer otherwise, and why."""

FOLDERS: Final = ("basic", "errors", "negation", "recursion")
"""What the suite calls core; the rest is about defeasible rules, which no plain Datalog has."""

LARGE: Final = "souffle_example_hmmer"


def cases(file: Path) -> Iterator[schema.TestCase]:
    """The cases of a file, read by the quick loader: the suite's own takes most of a minute for all."""
    raw = yaml.load(file.read_bytes(), yaml.CSafeLoader)
    for entry in raw.get("tests", [raw]):
        yield schema.TestCase.from_dict({"source": raw["source"], **entry})


def failures(asked: list[schema.TestCase]) -> list[str]:
    """The cases that are not answered as expected, with what is."""
    runner, found = YamlTestRunner(Evaluator()), []
    for case in asked:
        try:
            runner.run_test_case(case)
        except ConformanceFailure as failure:
            found.append(str(failure))
    return found


def test_every_core_case_is_answered_as_expected_but_those_that_kdl_means_otherwise(
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = [file for folder in FOLDERS for file in sorted((get_tests_dir() / folder).glob("*.yaml"))]
    found = [case for file in files if file.stem != LARGE for case in cases(file)]
    failed = failures([case for case in found if case.name not in OTHERWISE])
    otherwise = failures([case for case in found if case.name in OTHERWISE])
    with capsys.disabled():
        count = len(found) - len(OTHERWISE) - len(failed)
        print(f"\n  datalog-conformance: {count} of {len(found)} core cases; {LARGE} has a test of its own")
        for name, reason in OTHERWISE.items():
            print(f"    otherwise: {name}: {reason}")
    assert not failed, "\n".join(failed)
    assert len(otherwise) == len(OTHERWISE)
    assert len(found) >= 110


@pytest.mark.slow
def test_a_points_to_analysis_of_a_whole_program_is_answered_as_expected() -> None:
    found = list(cases(get_tests_dir() / "recursion" / f"{LARGE}.yaml"))
    assert len(found) == 2
    assert not failures(found)
