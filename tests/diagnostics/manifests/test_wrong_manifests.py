"""Every wrong manifest in this folder gives exactly the one error that stands beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdl.parser.diagnostic import ManifestError
from kdl.parser.manifest.load import load
from kdl.parser.manifest.stories import STORIES

HERE = Path(__file__).parent
CASES = sorted(path.name for path in HERE.glob("*.yaml"))


def mistakes(name: str) -> ManifestError:
    with pytest.raises(ManifestError) as caught:
        load([name])
    return caught.value


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 20


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_manifest_gives_the_error_beside_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)
    assert mistakes(name).render() + "\n" == (HERE / name).with_suffix(".txt").read_text()


@pytest.mark.parametrize("name", CASES)
def test_each_error_is_one_with_a_place_and_a_story(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)
    (diagnostic,) = mistakes(name).diagnostics
    assert diagnostic.span is not None
    assert diagnostic.span.file == name
    assert diagnostic.code in STORIES


def test_every_story_but_that_of_unreadable_files_has_a_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)
    told = {mistakes(name).diagnostics[0].code for name in CASES}
    assert set(STORIES) - told == {"KDL501"}


def test_a_missing_file_is_told_by_name() -> None:
    assert mistakes("nowhere.yaml").render() == "error[KDL501]: cannot read `nowhere.yaml`: no such file or directory"
