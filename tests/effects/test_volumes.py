"""Volumes on a disk: what is written, what is observed, and that nothing is left."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from kdl.effects.contents import Contents
from kdl.effects.driver import Cause, Operation, Outcome
from kdl.effects.volumes import VolumeDriver
from kdl.effects.volumes.files import File, write
from kdl.effects.volumes.memory import unmount
from kdl.fact import Document, Row, digest, row

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


def driver(folder: Path) -> VolumeDriver:
    """A driver whose secrets are their own names."""

    def secret(what: Document) -> bytes:
        if what["key"] == "gone":
            raise LookupError("references non-existent secret key: gone")
        return f"<{what['key']}>".encode()

    return VolumeDriver("n1", folder / "pods", Contents({"secret": secret}))


def wanted(name: str = "v", **config: Any) -> Row:
    """A desired volume."""
    return row(("n1", "u1", name, {"issue": 0, **config}))


def perform(driver: VolumeDriver, desired: Row | None, name: str = "v") -> Outcome:
    """Make it so; None removes it."""
    verb = "remove" if desired is None else "create"
    return driver.perform(Operation(verb, "volumes.volume", ("n1", "u1", name), desired, None, Cause("", "")))


def seen(driver: VolumeDriver) -> dict[str, tuple[str, int]]:
    """The hash and the issue of each volume."""
    observation = driver.observe()
    assert observation.blind is None
    return {str(fact.row[2]): (str(fact.row[3]), int(str(fact.row[5]))) for fact in observation.facts}


def text(path: str, text: str, mode: int = 0o644) -> dict[str, Any]:
    """A file of a desired volume."""
    return {"path": path, "mode": mode, "text": text}


def test_a_volume_is_written_observed_rewritten_and_removed(tmp_path: Path) -> None:
    disk = driver(tmp_path)
    assert seen(disk) == {}
    secret = {"path": "deep/password", "mode": 0o600, "secret": {"key": "pw"}}
    first = wanted(files=[text("a", "1"), text("b", "2"), {"path": "bin", "mode": 0o644, "base64": "AAE="}, secret])
    assert perform(disk, first).error is None
    there = tmp_path / "pods" / "u1" / "v"
    assert {name: (there / name).read_bytes() for name in ("a", "b", "bin", "deep/password")} == {
        "a": b"1", "b": b"2", "bin": b"\0\1", "deep/password": b"<pw>",
    }  # fmt: skip
    assert stat.S_IMODE((there / "deep/password").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "pods").stat().st_mode) == 0o700
    assert seen(disk) == {"v": (digest(first), 0)}

    second = wanted(files=[text("a", "new", 0o400)], issue=3)
    assert perform(disk, second).error is None
    assert sorted(entry.name for entry in there.iterdir() if not entry.name.startswith("..")) == ["a"]
    assert len([entry for entry in there.iterdir() if entry.name.startswith("..")]) == 2
    assert ((there / "a").read_text(), stat.S_IMODE((there / "a").stat().st_mode)) == ("new", 0o400)
    assert seen(driver(tmp_path)) == {"v": (digest(second), 3)}

    kept = wanted(keep=True, issue=3)
    assert perform(disk, kept).error is None
    assert (there / "a").read_text() == "new"
    assert seen(disk) == {"v": (digest(kept), 3)}

    assert perform(disk, None).error is None
    assert perform(disk, None).error is None
    assert list((tmp_path / "pods").iterdir()) == []
    assert seen(disk) == {}


def test_what_is_half_there_is_seen_without_a_hash_and_can_be_made_and_removed(tmp_path: Path) -> None:
    disk, there = driver(tmp_path), tmp_path / "pods" / "u1"
    assert perform(disk, wanted(files=[text("a", "1")])).error is None
    (there / "v.made").unlink()
    assert seen(disk) == {"v": ("", 0)}
    assert perform(disk, wanted(files=[text("a", "1")])).error is None
    (there / "v").rename(tmp_path / "elsewhere")
    assert seen(disk) == {"v": ("", 0)}
    assert perform(disk, None).error is None
    assert not there.exists()


def test_a_source_that_fails_leaves_the_old_files_and_says_why(tmp_path: Path) -> None:
    disk = driver(tmp_path)
    before = wanted(files=[text("a", "1")])
    assert perform(disk, before).error is None
    gone = wanted(files=[text("a", "2"), {"path": "b", "mode": 0o644, "secret": {"key": "gone"}}])
    assert perform(disk, gone).error == "references non-existent secret key: gone"
    assert (tmp_path / "pods" / "u1" / "v" / "a").read_text() == "1"
    assert seen(disk) == {"v": (digest(before), 0)}


@pytest.mark.parametrize("path", ["../a", "/etc/a", "a/../../b", "..data/x", ""])
def test_a_path_that_leads_out_of_its_volume_is_refused(path: str, tmp_path: Path) -> None:
    assert "is no path of a file in a volume" in (perform(driver(tmp_path), wanted(files=[text(path, "")])).error or "")
    assert [entry for entry in tmp_path.rglob("*") if entry.is_file()] == []


@ROOT
def test_owners_and_groups_are_given_and_a_group_may_read(tmp_path: Path) -> None:
    disk = driver(tmp_path)
    files = [{**text("t", "x", 0o600), "user": 1000, "group": None}, {**text("g", "x", 0o400), "group": 2000}]
    assert perform(disk, wanted(files=files)).error is None
    assert perform(disk, wanted("shared", directory={"mode": 0o777, "group": 2000}), "shared").error is None
    found = {name: (tmp_path / "pods" / "u1" / name).stat() for name in ("v/t", "v/g", "shared")}
    assert {name: (at.st_uid, at.st_gid, stat.S_IMODE(at.st_mode)) for name, at in found.items()} == {
        "v/t": (1000, os.getegid(), 0o600), "v/g": (os.geteuid(), 2000, 0o440), "shared": (0, 2000, 0o2777),
    }  # fmt: skip


def test_a_folder_that_containers_write_to_keeps_what_they_wrote(tmp_path: Path) -> None:
    disk, there = driver(tmp_path), tmp_path / "pods" / "u1" / "v"
    for group in (None, os.getegid()):
        assert perform(disk, wanted(directory={"mode": 0o777, "group": group})).error is None
        (there / "written").touch()
    assert (there / "written").exists()
    assert perform(disk, None).error is None
    assert not there.exists()


def test_a_path_of_the_host_is_checked_or_made_and_stays(tmp_path: Path) -> None:
    disk, made = driver(tmp_path), tmp_path / "host" / "data"
    assert perform(disk, wanted(host={"path": str(made), "type": "Directory"})).error is not None
    assert perform(disk, wanted(host={"path": str(made), "type": "DirectoryOrCreate"})).error is None
    assert perform(disk, wanted(host={"path": str(made), "type": "File"})).error is not None
    assert [bool(made) for made, _ in seen(disk).values()] == [True]
    assert perform(disk, None).error is None
    assert made.is_dir()
    assert seen(disk) == {}


def test_a_reader_sees_the_old_files_or_the_new_ones(tmp_path: Path) -> None:
    folder = tmp_path / "v"
    write(folder, {"a": File(b"0"), "b": File(b"0")})
    over, torn = threading.Event(), []

    def read() -> None:
        while not over.is_set():
            at = os.open(folder / "..data", os.O_RDONLY)
            pair = set()
            for name in ("a", "b"):
                try:
                    file = os.open(name, os.O_RDONLY, dir_fd=at)
                except FileNotFoundError:  # removed since: a reader looks again
                    break
                pair.add(os.read(file, 9))
                os.close(file)
            os.close(at)
            torn.extend([pair] if len(pair) > 1 else [])

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(200):
        write(folder, {"a": File(b"%d" % number), "b": File(b"%d" % number)})
    over.set()
    reader.join()
    assert torn == []


def in_memory(size: int) -> Row:
    """A desired folder in memory."""
    return wanted(directory={"mode": 0o777, "group": 5, "memory": size})


def a_life_in_memory(place: Path) -> None:
    """What happens to a folder in memory; run in a mount namespace that ends with it."""
    disk, folder = driver(place), place / "pods/u1/v"
    assert perform(disk, in_memory(1 << 20)).error is None
    assert folder.is_mount()
    assert (oct(folder.stat().st_mode), folder.stat().st_gid) == ("0o42777", 5)
    (folder / "kept").write_text("there")
    with pytest.raises(OSError, match="No space left"):
        (folder / "large").write_bytes(bytes(2 << 20))
    assert perform(disk, in_memory(4 << 20)).error is None, "another size leaves what is in it"
    (folder / "large").write_bytes(bytes(2 << 20))
    assert (folder / "kept").read_text() == "there"
    assert seen(disk) == {"v": (digest(in_memory(4 << 20)), 0)}
    unmount(folder)
    assert seen(disk) == {"v": ("", 0)}, "as after a restart of the machine: it is to be made again"
    assert perform(disk, in_memory(1 << 20)).error is None
    assert list(folder.iterdir()) == []
    assert perform(disk, None).error is None
    assert list((place / "pods").iterdir()) == []
    assert perform(disk, in_memory(1 << 20)).error is None
    disk.cleanup()
    assert not (place / "pods").exists()
    assert str(place) not in Path("/proc/self/mounts").read_text()


@ROOT
def test_a_folder_in_memory_is_mounted_grows_and_is_gone_with_its_volume(tmp_path: Path) -> None:
    code = "import sys, pathlib\nfrom tests.effects.test_volumes import a_life_in_memory as live\n"
    argv = ["unshare", "--mount", sys.executable, "-c", f"{code}live(pathlib.Path(sys.argv[1]))", str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr


@ROOT
def test_a_folder_that_cannot_be_mounted_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path, size: int) -> None:
        raise PermissionError(1, "Operation not permitted", str(folder))

    monkeypatch.setattr("kdl.effects.volumes.memory.mount", refuse)
    disk = driver(tmp_path)
    assert "Operation not permitted" in str(perform(disk, in_memory(1 << 20)).error)
    assert seen(disk) == {"v": ("", 0)}
