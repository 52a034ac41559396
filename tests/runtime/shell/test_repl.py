"""`kdl repl` at a terminal, as a user types; and the documented session of a pending pod."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import transcript
from tests.runtime.shell.conftest import HELLO, POLICIES, ROOT, Kdl
from tests.runtime.shell.terminal import Terminal, terminal

NODES = POLICIES / "nodes.yaml"
TOUR = ROOT / "docs/tour-pending-pod.md"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def repl(home: Path) -> Iterator[Terminal]:
    """A conversation about three nodes and four objects."""
    with terminal("repl", "-f", NODES, "-f", POLICIES / "latest.yaml") as screen:
        yield screen


def test_a_row_of_the_last_answer_is_explained_and_opened(repl: Terminal) -> None:
    assert repl.ask('core.node(N, U), N != "blue"').splitlines()[1].startswith("1  cheap")
    assert repl.ask("why 2").startswith('core.node("open", ')
    assert repl.ask("why 3") == "the last answer has 2 rows"
    opened = repl.ask("expand 1")
    assert opened.startswith('1 core.object("", "Node", "open"')
    assert '"metadata":' in opened
    assert "nothing has the number 9" in repl.ask("expand 9")


def test_what_is_open_goes_on_in_the_next_line(repl: Terminal) -> None:
    assert repl.ask("rel big(n: str).").endswith("rules")
    repl.type("big(N) :- core.node(N, _),\r")
    repl.until(r"\.\.\.>")
    assert "rules" in repl.ask('N != "cheap".')
    assert repl.ask("big(N)").splitlines() == ["   N", "1  blue", "2  open"]
    assert repl.ask("rules big").splitlines()[0] == "rel big(n: str)"


def test_changes_are_undone_one_by_one(repl: Terminal) -> None:
    assert "deleted" in repl.ask("delete node/cheap")
    repl.ask("rel big(n: str).")
    assert repl.ask("core.node(N, _)").splitlines() == ["   N", "1  blue", "2  open"]
    assert repl.ask("undo") == "undone: the rules"
    assert "there is no relation" in repl.ask("facts big")
    assert repl.ask("undo") == "undone: the deletion of node/cheap"
    assert len(repl.ask("core.node(N, _)").splitlines()) == 4
    assert repl.ask("undo") == "there is nothing to undo"
    repl.ask(f"load {HELLO / 'hello.yaml'}")
    assert repl.ask('core.metadata(kind: "Service", id: S)') != "no"
    assert repl.ask("undo").startswith("undone: load")
    assert repl.ask('core.metadata(kind: "Service", id: S)') == "no"


def test_suppositions_are_not_kept(repl: Terminal) -> None:
    said = repl.ask('whatif +core.label("Node", "cheap", "zone", "a") -node/open')
    assert said.splitlines()[0] == "suppose"
    assert '- core.node("open"' in said
    assert repl.ask("whatif -node/open -node/cheap ? core.node(N, _)").splitlines() == ["N", "blue"]
    assert "does not hold" in repl.ask('whatif -node/open ? whynot core.node("open", _)')
    assert len(repl.ask("core.node(N, _)").splitlines()) == 4


def test_tab_completes_commands_relations_columns_and_constants(repl: Terminal) -> None:
    repl.type("wha\t")
    repl.until(r"kdl> whatif")
    repl.type("\x15core.on_n\t")
    repl.until(r"kdl> core.on_node")
    repl.type("\x15core.label(ki\t")
    repl.until(r"kdl> core.label\(kind:")
    repl.type('"N\t')
    repl.until(r'kdl> core.label\(kind: "Node"')
    repl.type(', key: "pri\t')
    repl.until(r'key: "price"')
    repl.type(", id: X)\r")
    repl.until(r"\n1  cheap")


def test_lines_are_coloured_and_remembered(repl: Terminal, home: Path) -> None:
    repl.ask('core.node(N, _), N != "cheap"')
    assert repl.colour("core.node") == "blue"
    assert repl.colour('"cheap"') == "green"
    repl.type("\x1b[A")
    repl.until(r'kdl> core.node\(N, _\), N != "cheap"\n(.*\n)*kdl> core.node\(N, _\), N != "cheap"$')
    assert '+core.node(N, _), N != "cheap"' in (home / "kdl/history").read_text()


def test_a_wrong_line_is_told_and_the_next_one_answered(repl: Terminal) -> None:
    assert "error[KDL" in repl.ask("core.nodde(N, _)")
    assert repl.ask("expand 1") == "ask `why` or `whynot` first"
    before = len(repl.lines)
    repl.type("core.node(\x03")
    while len(repl.lines) == before or repl.lines[-1] != "kdl>":
        repl.wait()
    assert repl.ask('"x" = X') == "   X\n1  x"


def test_attached_it_speaks_of_the_cluster_and_changes_it(
    kdl: Kdl, cluster: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KDL_DATA", str(cluster))
    pod = home / "extra.yaml"
    pod.write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: extra}\nspec: {containers: [{name: a, image: 'a:1'}]}\n"
    )
    with terminal("repl", "--attach") as screen:
        assert "3" in screen.ask("N = count : { core.pod(id: _) }")
        assert "run api.bind:default/extra" in screen.ask(f"whatif {pod}")
        assert "core.pod" in screen.ask("relations core.pod").split()
        assert screen.ask(f"apply {pod}") == "pod/extra created"
        assert "cannot" not in screen.ask('why core.pod("default/extra", _, _, _)')
        assert "kdl pack add" in screen.ask("rel mine(a: int).")
        assert "whatif" in screen.ask('assert node.served("a", "b", "c")')
        assert "not undone" in screen.ask("undo")
        screen.type('core.phase("default/ex\t')
        screen.until(r'core.phase\("default/extra"')
        screen.type("\x15")
        assert "being deleted" in screen.ask("delete pod/extra")
    assert kdl("repl", "--attach", "-f", pod).code == 2


def test_the_documented_session_of_a_pending_pod_happens_as_documented(home: Path) -> None:
    data = home / "data"
    environment = {"KDL_DATA": str(data)}
    blocks = re.findall(r"^```(console|repl)\n(.*?)^```", TOUR.read_text(), re.MULTILINE | re.DOTALL)
    assert [kind for kind, _ in blocks] == ["console", "repl", "console"]
    lines = 0
    try:
        for kind, text in blocks:
            if kind == "console":
                page = home / "page.md"
                page.write_text(f"```console\n{text}```\n")
                transcript.run(page, ROOT, environment)
                continue
            with terminal("repl", "--attach", environment=environment, columns=200) as screen:
                for piece in re.split(r"^kdl> ", text, flags=re.MULTILINE)[1:]:
                    line, _, output = piece.partition("\n")
                    end = time.monotonic() + 20  # what was applied takes a moment to come about
                    while not transcript.matches(output.rstrip(), printed := screen.ask(line)):
                        assert time.monotonic() < end, f"kdl> {line}\n--- documented\n{output}\n--- printed\n{printed}"
                    lines += 1
    finally:
        command = [sys.executable, "-c", "from kdl.runtime.shell.cli import main; main()", "down", "--purge"]
        subprocess.run(command, env={**os.environ, **environment}, capture_output=True, check=False)
    assert lines >= 6
