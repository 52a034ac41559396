"""`kdl repl`: a conversation with the rules, over manifests or a copy of the running cluster's facts."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kdl.runtime.shell.change import files_option
from kdl.runtime.shell.connect import data_option, server
from kdl.runtime.shell.scratch import Scratch, packs, program_of

if TYPE_CHECKING:
    from prompt_toolkit.completion import Completer

    from kdl.rules.program import Program
    from kdl.runtime.shell.dialogue import Dialogue


@click.command("repl")
@files_option(required=False)
@packs
@click.option("--live", is_flag=True, help="Start with a copy of all facts of the running cluster.")
@data_option
def repl_command(files: tuple[str, ...], rules: tuple[str, ...], live: bool, data: Path) -> int:
    """Ask, assume and try, line by line, on a scratch copy: nothing that is said here changes a cluster."""
    from kdl.runtime.shell.dialogue import Dialogue

    scratch = Scratch(program_of(rules), files)
    if live:
        _copy(scratch, data)
    dialogue = Dialogue(scratch, program_of, list(rules))
    if not sys.stdin.isatty():
        return _answered(dialogue, (line.rstrip("\n") for line in sys.stdin))
    program = dialogue.program
    click.echo(f"{len(program.rules)} rules, {len(program.relations)} relations; `help` tells the commands")
    return _answered(dialogue, _prompted(dialogue))


def _answered(dialogue: Dialogue, lines: Iterable[str]) -> int:
    """Answer every line; 1 if one could not be."""
    from kdl.runtime.shell.dialogue import Refused

    code = 0
    for line in lines:
        try:
            answer = dialogue.answer(line)
        except Refused as refused:
            click.echo(str(refused), err=True)
            code = 1
            continue
        if answer is None:
            break
        if answer:
            click.echo(answer)
    return 0 if sys.stdin.isatty() else code


def _copy(scratch: Scratch, data: Path) -> None:
    """Put all input facts of the running cluster into the scratch copy."""
    from kdl.fact import Fact, row
    from kdl.runtime.clock import SystemClock

    scratch.engine.apply(now=SystemClock().now())
    with server(data) as client:
        for name, relation in scratch.engine.program.relations.items():
            if not relation.input:
                continue
            columns = [f"V{index}" for index in range(relation.arity)]
            rows = client.kdl("query", {"query": f"{name}({', '.join(columns)})"})["rows"]
            scratch.change(insert=[Fact(name, row([found[column] for column in columns])) for found in rows])


# at a terminal


def _prompted(dialogue: Dialogue) -> Iterator[str]:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.history import FileHistory

    session: PromptSession[str] = PromptSession(
        history=FileHistory(str(_history())), completer=_completer(dialogue), complete_while_typing=False
    )
    while True:
        try:
            yield session.prompt("kdl> ")
        except KeyboardInterrupt:
            continue
        except EOFError:
            return


def _history() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    folder = Path(base) / "kdl"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "history"
    path.touch(mode=0o600)
    return path


def words(program: Program, line: str) -> list[str]:
    """What may stand where a line ends: commands at its beginning, and relations and functions anywhere."""
    from kdl.rules.builtin import BUILTINS
    from kdl.runtime.shell.dialogue import COMMANDS

    start = len(line) - len(_last(line))
    commands = [*COMMANDS, "quit"] if not line[:start].strip() else []
    found = [*commands, *sorted(program.relations), *sorted({*BUILTINS, *program.functions})]
    last = _last(line)
    direct = [word for word in found if word.startswith(last)]
    return direct + [word for word in program.relations if last and f".{last}" in f".{word}" and word not in direct]


def _last(line: str) -> str:
    """The word at the end of a line."""
    index = len(line)
    while index and (line[index - 1].isalnum() or line[index - 1] in "._"):
        index -= 1
    return line[index:]


def _completer(dialogue: Dialogue) -> Completer:
    from prompt_toolkit.completion import Completer, Completion

    class Words(Completer):
        def get_completions(self, document: Any, complete_event: Any) -> Iterator[Completion]:
            line = document.text_before_cursor
            for word in words(dialogue.program, line):
                yield Completion(word, start_position=-len(_last(line)))

    return Words()
