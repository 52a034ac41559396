"""`kdl doc`, and that the reference of the shipped packs in docs/packs is what it prints."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.runtime.shell.conftest import POLICIES, ROOT, Kdl

PACK = """\
## A pack of numbers.
module numbers.

## Numbers that somebody gave, `n` of them.
input rel given(n: int).

## What is <wrong> with a number.
open rel wrong(n: int, reason: str).
wrong(N, "negative") :- given(N), N < 0.

## A number in words.
type word = str.

## Numbers that are right.
rel right(n: int, name: word).
right(N, name(N)) :- given(N), not wrong(N, _).

## The name of a number.
def name(N) = f"number {N}".
"""


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    file = tmp_path / "numbers" / "numbers.dl"
    file.parent.mkdir()
    file.write_text(PACK)
    return file


def test_the_reference_of_the_shipped_packs_is_up_to_date(kdl: Kdl) -> None:
    said = kdl("doc", "--no-lines", "--check", "--out", ROOT / "docs/packs")
    assert said.code == 0, f"{said.out}write it anew: kdl doc --no-lines --out docs/packs"


def test_extension_points_come_first_with_types_rules_and_readers(kdl: Kdl, pack: Path) -> None:
    text = kdl("doc", "-r", pack).out
    assert text.index("### Extension points") < text.index("### Inputs") < text.index("### Relations")
    assert "**`right(n: int, name: numbers.word)`**\n\nNumbers that are right." in text
    assert "Rules: numbers.dl:9. Read by `numbers.right`." in text
    assert "**`name(N)`**\n\nThe name of a number." in text
    assert "Rules: numbers.dl. Read by" in kdl("doc", "--no-lines", "-r", pack).out


def test_rules_for_other_modules_are_told(kdl: Kdl) -> None:
    text = kdl("doc", "-r", POLICIES).out
    assert "### Additions" in text
    assert "- `sched.rejects`: house.dl:" in text


def test_html_is_well_formed_and_escapes_what_packs_say(kdl: Kdl, pack: Path) -> None:
    page = kdl("doc", "-r", pack, "-o", "html").out
    assert "What is &lt;wrong&gt; with a number." in page
    assert "<h3>Extension points</h3>" in page
    opened: list[str] = []

    class Balanced(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag != "meta":
                opened.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert opened.pop() == tag

    for text in (page, kdl("doc", "-o", "html").out.partition("<!doctype")[2].partition("<!doctype")[0]):
        Balanced().feed(text)
        assert opened == []


def test_a_folder_of_references_is_written_and_checked(kdl: Kdl, pack: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert kdl("doc", "-r", pack, "--out", out, "--check").code == 1
    assert not out.exists()
    assert kdl("doc", "-r", pack, "--out", out).code == 0
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "numbers.md"]
    assert "[numbers](numbers.md)\n\n- `numbers`: A pack of numbers." in (out / "README.md").read_text()
    assert kdl("doc", "-r", pack, "--out", out, "--check").code == 0
    (out / "gone.md").write_text("# once a pack\n")
    assert kdl("doc", "-r", pack, "--out", out, "--check").code == 1
    assert kdl("doc", "--check").code == 2
