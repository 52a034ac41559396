"""Watches as streams of JSON lines: events come from writers' threads and leave on the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from kdl.fact import Document, plain
from kdl.runtime.api import errors
from kdl.runtime.api.errors import ApiError
from kdl.runtime.api.paths import Target
from kdl.runtime.api.reading import Event
from kdl.runtime.api.representation import Form, rendered
from kdl.runtime.api.service import Objects
from kdl.runtime.store import Object

BOOKMARK_SECONDS: Final = 30.0
_BACKLOG: Final = 10_000
"""How many events may wait for a client before its watch is given up."""


class Watch:
    """One watch: events come from writers' threads and leave as lines on the event loop."""

    def __init__(self, objects: Objects, others: set[Watch], timeout: int | None, bookmarks: bool, form: Form) -> None:
        self._objects = objects
        self._others = others
        self._until = time.monotonic() + timeout if timeout else None
        self._bookmarks = bookmarks
        self._mailbox = _mailbox(asyncio.get_running_loop())
        self._lines: list[bytes] = []
        self._news = asyncio.Event()
        self._limit = _BACKLOG
        self._starting = True
        self._over = self._due = False
        self._form = form
        self.tells_initial_end = False
        """Whether a bookmark says when all that there was at the beginning has been told."""
        self._stop: Callable[[], None] | None = None

    def start(self, target: Target, labels: str | None, fields: str | None, since: int | None) -> None:
        """Subscribe, in a thread, before the first byte is sent: a bad selector is an ordinary refusal."""
        try:
            self._stop = self._objects.watch(self._tell, target.kind, target.namespace, labels, fields, since)
        except ApiError as error:
            if error.status != 410:
                raise
            line = _line("ERROR", error.document())
            self._on_loop(lambda: self._add([line], last=True))
        self._starting = False
        self._others.add(self)
        if self.tells_initial_end:
            self._objects.store.mark(lambda revision: self._mark(revision, initial=True))

    def _tell(self, events: Sequence[Event]) -> None:
        if self._starting:  # what there is: encoded here, in the thread of `start`
            lines = self._lines_of(events)
            self._limit += len(lines)
            self._on_loop(lambda: self._add(lines))
        else:
            self._on_loop(lambda: self._add(self._lines_of(events)))

    def _lines_of(self, events: Sequence[Event]) -> list[bytes]:
        if self._form.plain:
            return [_LINES.of(event.type, event.object) for event in events]
        return [_line(event.type, self._form.item(event.object)) for event in events]

    def _mark(self, revision: int, initial: bool = False) -> None:
        doc = self._form.bookmark(revision, initial)
        self._on_loop(lambda: self._add([_line("BOOKMARK", doc)]))

    def _on_loop(self, call: Callable[[], None]) -> None:
        self._mailbox.post(call)

    def _add(self, lines: list[bytes], last: bool = False) -> None:
        if self._over:
            return
        self._lines += lines
        if len(self._lines) > self._limit:
            slow = errors.expired("the watch is too slow: list again, and watch from there")
            self._lines, last = [_line("ERROR", slow.document())], True
        self._over = last
        self._news.set()

    def end(self) -> None:
        """Let the stream end; from any thread."""
        self._on_loop(lambda: self._add([], last=True))

    def close(self) -> None:
        """Hear no more."""
        self._others.discard(self)
        if self._stop is not None:
            self._stop()

    async def lines(self) -> AsyncIterator[bytes]:
        """The events, one JSON line each, until time is up or the watch is ended."""
        timer = self._timer()
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                if self._due:
                    self._due = False
                    if self._until is not None and time.monotonic() >= self._until:
                        return
                    timer = self._timer()
                    if self._bookmarks:
                        await run_in_threadpool(self._objects.store.mark, self._mark)
                lines, self._lines = self._lines, []
                if lines:
                    yield b"".join(lines)
                if self._over:
                    return
        finally:
            timer.cancel()

    def _timer(self) -> asyncio.TimerHandle:
        """What wakes the stream for a bookmark, or to end."""
        wait = BOOKMARK_SECONDS
        if self._until is not None:
            wait = min(wait, self._until - time.monotonic())
        return asyncio.get_running_loop().call_later(wait, self._wake)

    def _wake(self) -> None:
        self._due = True
        self._news.set()


class _Mailbox:
    """Calls from other threads to an event loop, which is woken once for all that have gathered."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calls: deque[Callable[[], None]] = deque()
        self._woken = False

    def post(self, call: Callable[[], None]) -> None:
        """Let the loop call it, after what was posted before."""
        self._calls.append(call)
        if not self._woken:
            self._woken = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody watches
                self._loop.call_soon_threadsafe(self._empty)

    def _empty(self) -> None:
        self._woken = False  # first: what is posted from now on wakes the loop again
        while self._calls:
            self._calls.popleft()()


_mailboxes: WeakKeyDictionary[asyncio.AbstractEventLoop, _Mailbox] = WeakKeyDictionary()


def _mailbox(loop: asyncio.AbstractEventLoop) -> _Mailbox:
    if loop not in _mailboxes:
        _mailboxes[loop] = _Mailbox(loop)
    return _mailboxes[loop]


class Stream(StreamingResponse):
    """The response of a watch, which ends the watch however it ends itself: also before the first line."""

    def __init__(self, watch: Watch) -> None:
        super().__init__(watch.lines(), media_type="application/json")
        self._watch = watch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._watch.close()


def _line(type_: str, doc: dict[str, Any]) -> bytes:
    return orjson.dumps({"type": type_, "object": doc}, default=plain, option=orjson.OPT_APPEND_NEWLINE)


class Lines:
    """Lines of objects as they are stored, made once for all who watch. The oldest go where all have too many bytes."""

    def __init__(self, most: int) -> None:
        self._most, self._bytes = most, 0
        self._made: dict[tuple[str, int], tuple[Document, bytes]] = {}
        self._changing = threading.Lock()

    def of(self, type_: str, item: Object) -> bytes:
        """The line of an event; threads that come at the same time make it each."""
        key = (type_, item.revision)
        known = self._made.get(key)
        if known is not None and known[0] is item.doc:
            return known[1]
        line = _line(type_, rendered(item))
        with self._changing:
            self._forget(key)
            self._made[key] = item.doc, line
            self._bytes += len(line)
            while self._bytes > self._most:
                self._forget(next(iter(self._made)))
        return line

    def _forget(self, key: tuple[str, int]) -> None:
        known = self._made.pop(key, None)
        if known is not None:
            self._bytes -= len(known[1])


_LINES: Final = Lines(8 << 20)
