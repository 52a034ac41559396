"""ARCHITECTURE.md names what there is: its folders and modules exist, and every dependency has its reason."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "ARCHITECTURE.md").read_text("utf-8")


def test_every_folder_and_module_that_it_names_exists():
    named = set(
        re.findall(r"`((?:kdl|policies|tests|examples|docs|parser|rules|effects|runtime|store)/[\w/.]*)`", TEXT)
    )
    assert len(named) > 20
    homes = [ROOT, ROOT / "kdl"]
    missing = [n for n in named if not any((h / n).exists() or (h / f"{n}.py").exists() for h in homes)]
    assert missing == []


def test_every_dependency_has_its_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    packages = [re.split(r"[><=;\[ ]", line)[0] for line in project["dependencies"]]
    reasons = TEXT.partition("## Why each dependency")[2].partition("\n## ")[0]
    assert [package for package in packages if not re.search(rf"^\|[^|]*\b{package}\b", reasons, re.MULTILINE)] == []


def test_every_pack_is_in_the_map():
    packs = sorted(folder.name for folder in (ROOT / "policies").iterdir() if any(folder.glob("*.dl")))
    assert [pack for pack in packs if f"| `{pack}` |" not in TEXT] == []
