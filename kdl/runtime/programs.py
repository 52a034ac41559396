"""Program texts → a checked program; what was checked once is kept in the user's cache folder.

A kept program is found by the content of its texts, their names and the checker's own code, so it is never stale.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from hashlib import blake2b
from pathlib import Path
from tempfile import NamedTemporaryFile

from kdl.parser.source import Source, cache_folder, texts
from kdl.rules.program import Program

KEPT = 64
"""How many programs the cache folder holds; the oldest go."""


def compile(source: Source, *, cached: bool = True) -> Program:
    """The checked program of a text, or of files and folders. Raises `ProgramError`."""
    return of_texts(texts(source), cached=cached)


def of_texts(sources: Mapping[str, str], *, cached: bool = True) -> Program:
    """The checked program of texts by the names of their files. Raises `ProgramError`."""
    place = _place(sources) if cached else None
    if place is not None and (kept := _load(place)) is not None:
        return kept
    with _uncollected():
        program = _checked(sources)
    if place is not None:
        _keep(program, place)
    return program


def _checked(sources: Mapping[str, str]) -> Program:
    from kdl.parser.diagnostic import Diagnostic, ProgramError  # these take time that a kept program does not need
    from kdl.parser.parse import parse
    from kdl.rules.check import check

    files, mistakes = [], list[Diagnostic]()
    for name, text in sources.items():
        try:
            files.append(parse(text, name))
        except ProgramError as error:
            mistakes.extend(error.diagnostics)
    if mistakes:
        raise ProgramError(mistakes, sources)
    return check(files, sources)


def _place(sources: Mapping[str, str]) -> Path | None:
    """The file of a kept program; None for a short text, which is sooner checked than read."""
    if sum(map(len, sources.values())) < 4000:
        return None
    folder = cache_folder()
    if folder is None:
        return None
    digest = blake2b(_code(), digest_size=16)
    for name, text in sources.items():
        for part in (name, text):
            data = part.encode("utf-8", "surrogatepass")
            digest.update(b"%d:" % len(data) + data)
    return Path(folder, f"{digest.hexdigest()}.program")


@cache
def _code() -> bytes:
    """A digest of what makes programs out of texts: this Python and the parser's and checker's own files."""
    digest = blake2b(sys.version.encode(), digest_size=16)
    package = Path(__file__).parent.parent
    files = [package / "fact.py", *sorted((package / "parser").glob("*.*")), *sorted((package / "rules").glob("*.py"))]
    for file in files:
        digest.update(file.read_bytes())
    return digest.digest()


def _load(place: Path) -> Program | None:
    try:
        with place.open("rb") as file, _uncollected():
            if os.fstat(file.fileno()).st_uid != os.getuid():
                return None
            kept = pickle.load(file)
        return kept if isinstance(kept, Program) else None
    except Exception:  # a damaged file is no worse than none
        return None


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Without looking for garbage: trees are made in here that all stay, and the looking takes much of the time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _keep(program: Program, place: Path) -> None:
    with contextlib.suppress(OSError, RecursionError):
        with NamedTemporaryFile(dir=place.parent, suffix=".new", delete=False) as file:
            pickle.dump(program, file, 5)
        os.replace(file.name, place)
        kept = sorted(place.parent.glob("*.program"), key=lambda path: path.stat().st_mtime)
        for old in kept[:-KEPT]:
            old.unlink(missing_ok=True)
