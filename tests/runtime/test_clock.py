"""Clocks do not go back."""

from __future__ import annotations

import time

import pytest

from kdl.runtime.clock import SystemClock, VirtualClock


def test_the_system_clock_stands_still_while_the_machines_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SystemClock()
    first = clock.now()
    monkeypatch.setattr(time, "time_ns", lambda: (first - 5000) * 1_000_000)
    assert clock.now() == first
    monkeypatch.setattr(time, "time_ns", lambda: (first + 7) * 1_000_000)
    assert clock.now() == first + 7


def test_a_virtual_clock_moves_only_forward_and_only_when_told() -> None:
    clock = VirtualClock(1000)
    clock.advance(500)
    assert clock.now() == 1500
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1)
