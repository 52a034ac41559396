"""`kdl backup` and `kdl restore`: a cluster comes back as it was."""

from __future__ import annotations

import json
from pathlib import Path

from tests.runtime.shell.conftest import HELLO, Kdl


def pods(kdl: Kdl, *words: object) -> dict[str, str]:
    """The uids of all pods by name."""
    items = json.loads(kdl("get", "pods", "-o", "json", *words).out)["items"]
    return {item["metadata"]["name"]: item["metadata"]["uid"] for item in items}


def test_a_running_cluster_is_backed_up_and_goes_on_elsewhere_with_the_same_objects(
    kdl: Kdl, folder: Path, tmp_path: Path
) -> None:
    assert kdl("up", "-d", "--wait", "--runtime", "fake", "-f", HELLO).code == 0
    before = pods(kdl)
    said = kdl("backup", tmp_path / "kdl.tar")
    assert said.code == 0
    assert "revision" in said.out
    assert kdl("restore", tmp_path / "kdl.tar").code == 1  # a cluster is there
    assert kdl("down", "--purge").code == 0
    assert kdl("restore", tmp_path / "kdl.tar").code == 0
    assert kdl("up", "-d", "--wait").code == 0
    assert pods(kdl) == before
    assert len(before) == 3


def test_what_is_no_backup_is_told(kdl: Kdl, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("text")
    assert kdl("restore", tmp_path / "text").code == 1
    assert kdl("restore", tmp_path / "nowhere").code == 2
    assert kdl("backup", tmp_path / "b.tar").code == 1
    assert not (folder / "store.sqlite").exists()
