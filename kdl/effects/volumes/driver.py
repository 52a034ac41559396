"""The driver of one node's volumes: a folder for each pod, in it a folder and a note for each volume."""

from __future__ import annotations

import shutil
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import orjson

from kdl.effects.contents import Contents
from kdl.effects.driver import Observation, Operation, Outcome
from kdl.effects.volumes import memory
from kdl.effects.volumes.files import File, write
from kdl.fact import Document, Fact, Row, digest

NOTE: Final = ".made"
"""What the name of the note beside a volume ends with; no volume's name has a dot."""

TYPES: Final = {
    "Directory": stat.S_ISDIR,
    "DirectoryOrCreate": stat.S_ISDIR,
    "File": stat.S_ISREG,
    "FileOrCreate": stat.S_ISREG,
    "Socket": stat.S_ISSOCK,
    "CharDevice": stat.S_ISCHR,
    "BlockDevice": stat.S_ISBLK,
}
"""What a path of the host must be, by the type that a volume asks for."""


class VolumeDriver:
    """Volumes under a folder of the node."""

    name = "volumes"
    observes: tuple[str, ...] = ("disk.volume",)
    performs: tuple[str, ...] = ("volumes.volume",)

    def __init__(self, node: str, folder: Path, contents: Contents) -> None:
        self.node, self._folder, self._contents = node, folder, contents

    def observe(self) -> Observation:
        """Every volume that is there, whole or in part."""
        try:
            return Observation(self.node, [self._fact(uid, name) for uid, name in self._there()])
        except OSError as error:
            return Observation(self.node, blind=f"the folder of volumes cannot be read: {error.strerror}")

    def _there(self) -> list[tuple[str, str]]:
        found = set()
        for pod in self._folder.iterdir() if self._folder.is_dir() else ():
            with suppress(FileNotFoundError, NotADirectoryError):  # removed just now, or none of ours
                found |= {(pod.name, e.name.removesuffix(NOTE)) for e in pod.iterdir() if not e.name.startswith(".")}
        return sorted(found)

    def _fact(self, uid: str, name: str) -> Fact:
        try:
            note = orjson.loads(self._note(uid, name).read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            note = {}
        folder = self._folder / uid / name
        there = note.get("host") or (folder.is_mount() if note.get("memory") else folder.is_dir())
        made = note.get("hash", "") if there else ""
        return Fact("disk.volume", (self.node, uid, name, made, note.get("written", 0), note.get("issue", 0)))

    def _note(self, uid: str, name: str) -> Path:
        return self._folder / uid / f"{name}{NOTE}"

    def perform(self, operation: Operation) -> Outcome:
        """Do it; what went wrong is the outcome's error."""
        _, uid, name = map(str, operation.key)
        try:
            if operation.desired is None:
                self._remove(uid, name)
            else:
                self._make(uid, name, operation.desired)
        except Exception as error:  # a source may fail in any way
            return Outcome(operation, _line(error))
        return Outcome(operation)

    def _make(self, uid: str, name: str, row: Row) -> None:
        config, folder = row[3], self._folder / uid / name
        assert isinstance(config, Document)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._folder / uid).mkdir(exist_ok=True)
        if (host := config.get("host")) is not None:
            _require(Path(host["path"]), host["type"])
        elif (directory := config.get("directory")) is not None:
            folder.mkdir(exist_ok=True)
            if "memory" in directory:
                memory.mount(folder, directory["memory"])
            _share(folder, directory)
        elif (files := config.get("files")) is not None:
            write(folder, {file["path"]: self._file(file) for file in files})
        now = time.time_ns() // 1_000_000
        note = {
            "hash": digest(row),
            "written": now,
            "issue": config["issue"],
            "host": host is not None,
            "memory": "memory" in config.get("directory", ()),
        }
        new = self._note(uid, f".{name}")
        new.write_bytes(orjson.dumps(note))
        new.replace(self._note(uid, name))

    def _file(self, file: Document) -> File:
        return File(self._contents.data(file), file["mode"], file.get("user"), file.get("group"))

    def _remove(self, uid: str, name: str) -> None:
        """The note goes last: what is left of a volume is removed again."""
        memory.unmount(self._folder / uid / name)
        with suppress(FileNotFoundError):
            shutil.rmtree(self._folder / uid / name)
        self._note(uid, f".{name}").unlink(missing_ok=True)
        self._note(uid, name).unlink(missing_ok=True)
        with suppress(OSError):  # others of its pod are there, or another one has just removed it
            (self._folder / uid).rmdir()

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Nobody else changes volumes: the loop's regular look finds what was removed by hand."""
        return lambda: None

    def cleanup(self) -> None:
        """Remove all volumes."""
        for uid, name in self._there():
            memory.unmount(self._folder / uid / name)
        with suppress(FileNotFoundError):
            shutil.rmtree(self._folder)


def _require(path: Path, wanted: str) -> None:
    """See that a path of the host is there and what it should be, or make it where that is asked for."""
    if wanted == "DirectoryOrCreate":
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    elif wanted == "FileOrCreate" and not path.exists():
        path.touch(mode=0o644)
    if not wanted:
        return
    if not path.exists() or not TYPES[wanted](path.stat().st_mode):
        raise ValueError(f"hostPath type check failed: {path} is not a {wanted}")


def _share(folder: Path, directory: Document) -> None:
    """Let everybody use a folder; with a group, its files are of that one."""
    group = directory.get("group")
    if group is not None:
        shutil.chown(folder, group=group)
    folder.chmod(directory["mode"] | (0 if group is None else stat.S_ISGID))


def _line(error: Exception) -> str:
    text = str(error.args[0]) if isinstance(error, LookupError) and error.args else str(error)
    return " ".join(text.split()) or type(error).__name__
