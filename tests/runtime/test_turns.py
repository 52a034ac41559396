"""The lock of a loop that is always busy."""

from __future__ import annotations

import threading
import time

import pytest

from kdl.runtime.turns import Turns


def test_who_waits_is_next_though_another_takes_it_again_and_again() -> None:
    lock, over, taken = Turns(), threading.Event(), [0]

    def busy() -> None:
        while not over.is_set():
            with lock:
                taken[0] += 1
                end = time.monotonic() + 0.004
                while time.monotonic() < end:
                    pass

    worker = threading.Thread(target=busy)
    worker.start()
    try:
        waited = []
        for _ in range(50):
            before = taken[0]
            with lock:
                waited.append(taken[0] - before)
        assert max(waited) <= 2, waited  # the one under way, and one that began before the wait did
    finally:
        over.set()
        worker.join()


def test_its_holder_enters_again_and_nobody_else_does() -> None:
    lock, entered = Turns(), threading.Event()

    def other() -> None:
        with lock:
            entered.set()

    with lock, lock:
        with lock, pytest.raises(ZeroDivisionError), lock:
            raise ZeroDivisionError
        thread = threading.Thread(target=other)
        thread.start()
        assert not entered.wait(0.1)
    assert entered.wait(10)
    thread.join()
