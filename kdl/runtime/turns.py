"""A lock that is taken in turns: who has just had it does not get it again before who waited for it."""

from __future__ import annotations

import threading
from types import TracebackType


class Turns:
    """A lock for ``with``, which its holder may enter again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turn = threading.Lock()  # held by the one who waits for `_lock` and is the next to have it
        self._holder: int | None = None
        self._depth = 0

    def __enter__(self) -> None:
        me = threading.get_ident()
        if self._holder != me:
            with self._turn:
                self._lock.acquire()
            self._holder = me
        self._depth += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._depth -= 1
        if not self._depth:
            self._holder = None
            self._lock.release()
