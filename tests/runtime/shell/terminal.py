"""A command at a terminal of its own, typed at and read as a person would."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pyte

PROMPT = "kdl>"
ROWS = 400
"""So tall that nothing scrolls out of a test's sight."""


class Terminal:
    """A screen and a keyboard."""

    def __init__(self, descriptor: int, columns: int) -> None:
        self._fd = descriptor
        self._screen = pyte.Screen(columns, ROWS)
        self._screen.write_process_input = self.type
        self._stream = pyte.ByteStream(self._screen)

    @property
    def lines(self) -> list[str]:
        """What stands on the screen."""
        return [
            line.rstrip() for line in "\n".join(line.rstrip() for line in self._screen.display).rstrip().split("\n")
        ]

    def colour(self, word: str) -> str:
        """The colour of a word on the last line that has it."""
        for row, line in reversed(list(enumerate(self._screen.display))):
            if word in line:
                colour: str = self._screen.buffer[row][line.index(word)].fg
                return colour
        raise AssertionError(f"{word!r} is not on the screen")

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._fd, keys.encode())

    def until(self, pattern: str, seconds: float = 30) -> str:
        """Wait until the screen shows a pattern; what it shows then."""
        end = time.monotonic() + seconds
        while not re.search(pattern, "\n".join(self.lines)):
            assert time.monotonic() < end, f"{pattern!r} has not come in time:\n" + "\n".join(self.lines)
            self.wait()
        return "\n".join(self.lines)

    def ask(self, line: str, seconds: float = 30) -> str:
        """Type a line and wait for the next prompt; what was printed in between."""
        before = len(self.lines)
        self.type(line + "\r")
        end = time.monotonic() + seconds
        while len(self.lines) <= before or self.lines[-1] != PROMPT:
            assert time.monotonic() < end, f"no answer to {line!r} in time:\n" + "\n".join(self.lines)
            self.wait()
        return "\n".join(self.lines[before:-1])

    def wait(self, seconds: float = 0.2) -> None:
        """Wait for more to be printed."""
        if select.select([self._fd], [], [], seconds)[0]:
            try:
                self._stream.feed(os.read(self._fd, 65536))
            except OSError as error:
                raise AssertionError("the command has ended:\n" + "\n".join(self.lines)) from error


@contextmanager
def terminal(
    *words: object, environment: Mapping[str, str] | None = None, columns: int = 160, prompt: str = f"{PROMPT}$"
) -> Iterator[Terminal]:
    """`kdl` with these words at a terminal, up to its first prompt; it is hung up at the end."""
    pid, descriptor = pty.fork()
    if pid == 0:
        os.environ.update({"TERM": "xterm", **(environment or {})})
        code = "from kdl.runtime.shell.cli import main; main()"
        os.execv(sys.executable, [sys.executable, "-c", code, *map(str, words)])
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
    try:
        screen = Terminal(descriptor, columns)
        screen.until(prompt)
        yield screen
    finally:
        os.close(descriptor)
        os.waitpid(pid, 0)
