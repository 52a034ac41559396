"""What holds documents to the truth tells a true one from a false one."""

from pathlib import Path

import pytest

from tests import transcript


@pytest.mark.parametrize(
    ("documented", "printed", "same"),
    [
        ("a\nb", "a\nb", True),
        ("a", "a\nb", False),
        ("a\nb", "a", False),
        ("", "a", False),
        ("", "", True),
        ("pod/…-x created", "pod/web-7f-x created", True),
        ("pod/…-x created", "pod/web-7f-y created", False),
        ("a\n…\nz", "a\nz", True),
        ("a\n…\nz", "a\nb\nc\nz", True),
        ("a\n…", "b", False),
        ("a.c", "abc", False),
    ],
)
def test_only_what_is_documented_matches(documented: str, printed: str, same: bool):
    assert transcript.matches(documented, printed) is same


def test_commands_run_in_order_in_one_folder_and_a_difference_names_its_line(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(transcript, "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("# A page\n\n```console\n$ echo one \\\n    > f\n$ cat f; echo oops >&2; exit 1\none\noops\n```\n")
    assert transcript.run(page, tmp_path) == 2
    page.write_text(page.read_text().replace("\noops\n", "\n"))
    with pytest.raises(AssertionError, match=r"page.md:6: \$ cat f"):
        transcript.run(page, tmp_path)
