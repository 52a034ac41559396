"""Files that change all at once, as Kubernetes' clients expect them.

What is seen under a name is a link into `..data`, which is a link to the folder with the present files; a new folder is
made whole, and the one link changed. Whoever reads sees the old files or the new ones.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

DATA = "..data"


@dataclass(frozen=True, slots=True)
class File:
    """What a file says and who may read it; None leaves the owner as it is."""

    data: bytes
    mode: int = 0o644
    user: int | None = None
    group: int | None = None


def write(folder: Path, files: Mapping[str, File]) -> None:
    """Have just these files in a folder; `ValueError` for a path that leads out of it."""
    for path in files:
        _check(path)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    present = Path(tempfile.mkdtemp(prefix="..", dir=folder))
    present.chmod(0o755)
    for path, file in files.items():
        _write(present, path, file)
    link = folder / f"{DATA}.new"
    link.unlink(missing_ok=True)
    link.symlink_to(present.name)
    link.replace(folder / DATA)
    names = {PurePosixPath(path).parts[0] for path in files}
    for name in names:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"{DATA}/{name}")
    for entry in folder.iterdir():
        if entry.name in names or entry.name in (DATA, present.name):
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _check(path: str) -> None:
    parts = PurePosixPath(path).parts
    if not parts or parts[0].startswith("..") or parts[0] == "/" or ".." in parts:
        raise ValueError(f"`{path}` is no path of a file in a volume")


def _write(folder: Path, path: str, file: File) -> None:
    at = folder / path
    for parent in reversed(at.relative_to(folder).parents[:-1]):
        (folder / parent).mkdir(exist_ok=True)
        (folder / parent).chmod(0o755)
    descriptor = os.open(at, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(file.data)
        if file.user is not None or file.group is not None:
            os.fchown(descriptor, -1 if file.user is None else file.user, -1 if file.group is None else file.group)
        os.fchmod(descriptor, file.mode if file.group is None else file.mode | 0o440)
        out.flush()
        os.fsync(descriptor)  # the note that comes after says that it is there
