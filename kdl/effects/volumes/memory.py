"""Folders in memory: a tmpfs, mounted where the folder is."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Final

_REMOUNT: Final = 32
_DETACH: Final = 2
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def mount(folder: Path, size: int) -> None:
    """Have the folder in memory, for at most so many bytes; what is in one that is there already stays."""
    flags = _REMOUNT if folder.is_mount() else 0
    options = f"size={size}".encode()
    _check(_LIBC.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", ctypes.c_ulong(flags), options), folder)


def unmount(folder: Path) -> None:
    """Let go of what was mounted there, and of what is in it."""
    while folder.is_mount():
        _check(_LIBC.umount2(os.fsencode(folder), _DETACH), folder)


def _check(result: int, folder: Path) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(folder))
