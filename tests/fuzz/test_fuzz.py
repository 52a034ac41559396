"""What was found wrong stays right, and a few new mutations do no harm."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import targets
from tests.fuzz.__main__ import FOUND, text_for
from tests.fuzz.targets import SUFFIX, TARGETS

TARGET_OF = {suffix: target for target, suffix in SUFFIX.items()}
FILES = sorted(file for file in FOUND.glob("*.*") if file.suffix in TARGET_OF)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_what_was_found_is_right_now(file: Path) -> None:
    TARGETS[TARGET_OF[file.suffix]](file.read_bytes().decode())


@pytest.mark.parametrize("target", ["program", "manifest"])
def test_no_mutation_raises_hangs_or_is_answered_wrongly(target: str) -> None:
    @settings(max_examples=150, deadline=None)
    @given(st.integers(0, 2**32))
    def mutations(seed: int) -> None:
        TARGETS[target](text_for(target, random.Random(seed)))

    mutations()


def test_a_wrong_answer_a_hang_and_a_traceback_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "input rel e(a: int).\nrel p(a: int).\np(X) :- e(X).\n"
    targets.program(text)
    with monkeypatch.context() as wrong:
        wrong.setattr(targets.Naive, "facts", lambda naive, name: {(0, 0)})
        with pytest.raises(targets.Wrong):
            targets.program(text)
    with monkeypatch.context() as slow:
        slow.setattr(targets, "PATIENCE", 0.1)
        slow.setattr(targets.Naive, "facts", lambda naive, name: [None for _ in iter(int, 1)])
        with pytest.raises(targets.Hang):
            targets.program(text)
    with monkeypatch.context() as broken:
        broken.setattr(targets, "loads", lambda text: {}["a"])
        with pytest.raises(KeyError):
            targets.manifest("a: 1")
