"""Program texts from where they are: given as text, or read from files and folders of `*.dl`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from kdl.parser.diagnostic import Diagnostic, ProgramError

Source = str | Path | Iterable[str | Path]


def texts(source: Source) -> dict[str, str]:
    """The texts of a program by the names of their files. Raises `ProgramError` for what cannot be read.

    A string that names no file and has a line break, ``:-``, a parenthesis or a dot at its end is a text itself; any
    other is a path. A folder stands for all `*.dl` files below it.
    """
    if isinstance(source, str) and _is_text(source):
        return {"<text>": source}
    paths = [source] if isinstance(source, (str, Path)) else source
    found: dict[str, str] = {}
    for path in map(Path, paths):
        for file in _files(path):
            found[str(file)] = _read(file)
    return found


def _is_text(source: str) -> bool:
    if not source.strip() or "\n" in source or "\0" in source or len(source) > 1000:
        return True
    return not Path(source).exists() and (":-" in source or "(" in source or source.rstrip().endswith((".", "}")))


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(path.rglob("*.dl"))
    if not path.exists():
        raise ProgramError([Diagnostic("KDL112", f"there is no file or folder `{path}`")])
    return [path]


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise ProgramError([Diagnostic("KDL112", f"`{path}` is not UTF-8 text")]) from None
    except OSError as error:
        raise ProgramError([Diagnostic("KDL112", f"`{path}` cannot be read: {error.strerror}")]) from None


def shipped() -> list[Path]:
    """The packs that ship with kdl: `policies` beside the package in a checkout, inside the package when installed."""
    package = Path(__file__).parent.parent
    for folder in (package / "policies", package.parent / "policies"):
        if folder.is_dir():
            return [folder]
    return []


def cache_folder() -> Path | None:
    """The user's own folder for what takes longer to make than to read; None where there can be none."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "kdl")
    if not folder.is_absolute():
        return None
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder if folder.stat().st_uid == os.getuid() else None
    except OSError:
        return None
