"""README.md and the examples are true: every command that they show prints what they say."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import transcript

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "examples").glob("*/README.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_prints_what_is_documented(document: Path, tmp_path: Path):
    data = tmp_path / "data"
    try:
        assert transcript.run(document, ROOT, {"KDL_DATA": str(data)}) >= 3
    finally:
        kdl("down", "--purge", data=data)


def test_the_conversation_in_the_readme_is_part_of_the_one_that_is_run():
    readme, tour = ((ROOT / name).read_text("utf-8") for name in ("README.md", "docs/tour-pending-pod.md"))
    (shown,), (run,) = (re.findall(r"```repl\n(.*?)```", text, re.DOTALL) for text in (readme, tour))
    turns = [f"kdl> {turn}" for turn in shown.split("kdl> ")[1:]]
    assert len(turns) == 4
    assert [turn for turn in turns if turn.strip() not in run] == []


def test_every_page_that_a_document_links_to_is_there():
    pages = [*DOCUMENTS, ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").glob("*.md"))]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8"))]
    assert len(links) > 10
    assert [(str(page), link) for page, link in links if not (page.parent / link).exists()] == []


def test_the_demo_runs_where_there_is_no_docker(tmp_path: Path):
    data = tmp_path / "data"
    search = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    nowhere = {"KDL_DATA": str(data), "DOCKER_HOST": f"unix://{tmp_path}/none", "PATH": search}
    try:
        done = subprocess.run(
            ["sh", ROOT / "examples" / "demo.sh"],
            env={**os.environ, **nowhere},
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        kdl("down", "--purge", data=data)
    assert "kdl is up on the fake runtime" in done.stdout
    assert done.stdout.count(" Running ") == 3
    assert "80:30080/TCP" in done.stdout
    assert "examples/01-hello/hello.yaml:" in done.stdout
    assert "no policy lets 10.244.200.200 into default/hello-" in done.stdout


def kdl(*arguments: str, data: Path) -> None:
    command = [sys.executable, "-c", "from kdl.runtime.shell.cli import main; main()", *arguments]
    subprocess.run(command, env={**os.environ, "KDL_DATA": str(data)}, capture_output=True, check=False)
