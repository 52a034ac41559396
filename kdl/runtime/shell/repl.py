"""`kdl repl`: a conversation with the rules, over manifests, a copy of the running cluster's facts, or the cluster."""

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
    from prompt_toolkit.lexers import Lexer

    from kdl.runtime.shell.dialogue import Dialogue


@click.command("repl")
@files_option(required=False)
@packs
@click.option("--live", is_flag=True, help="Start with a copy of all facts of the running cluster.")
@click.option("--attach", is_flag=True, help="Ask the running cluster itself; apply and delete change it.")
@data_option
def repl_command(files: tuple[str, ...], rules: tuple[str, ...], live: bool, attach: bool, data: Path) -> int:
    """Ask, suppose and try, line by line, on a scratch copy that changes no cluster, or on the running cluster."""
    from kdl.runtime.shell.dialogue import Dialogue
    from kdl.runtime.shell.partner import Copy, Live

    if attach:
        if files or rules or live:
            raise click.UsageError("--attach asks the running cluster as it is: without -f, -r and --live")
        with server(data) as client:
            return _held(Dialogue(Live(client)))
    scratch = Scratch(program_of(rules), files)
    if live:
        _copy(scratch, data)
    return _held(Dialogue(Copy(scratch)))


def _held(dialogue: Dialogue) -> int:
    """Hold a conversation on standard input; 1 if a line could not be answered."""
    if not sys.stdin.isatty():
        return _answered(dialogue, _joined(line.rstrip("\n") for line in sys.stdin))
    program = dialogue.program
    click.echo(f"{len(program.rules)} rules, {len(program.relations)} relations; `help` tells the commands")
    return _answered(dialogue, _prompted(dialogue))


def _answered(dialogue: Dialogue, lines: Iterable[str]) -> int:
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


def _joined(lines: Iterable[str]) -> Iterator[str]:
    """Lines, those that go on in the next one joined with it."""
    from kdl.runtime.shell.completion import incomplete

    text = ""
    for line in lines:
        text = f"{text}\n{line}" if text else line
        if not incomplete(text):
            yield text
            text = ""
    if text:
        yield text


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
    from prompt_toolkit.filters import Condition
    from prompt_toolkit.history import FileHistory
    from prompt_toolkit.styles import Style

    from kdl.runtime.shell.completion import incomplete

    session: PromptSession[str] = PromptSession(
        history=FileHistory(str(_history())),
        completer=_completer(dialogue),
        complete_while_typing=False,
        lexer=_lexer(dialogue),
        style=Style.from_dict(COLOURS),
        multiline=Condition(lambda: incomplete(session.default_buffer.text)),
        prompt_continuation="...> ",
    )
    while True:
        try:
            yield session.prompt("kdl> ")
        except KeyboardInterrupt:
            continue
        except EOFError:
            return


COLOURS = {
    "command": "bold", "relation": "ansiblue", "text": "ansigreen", "number": "ansimagenta", "variable": "ansiyellow",
    "comment": "ansibrightblack", "word": "ansicyan",
}  # fmt: skip


def _history() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    folder = Path(base) / "kdl"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "history"
    path.touch(mode=0o600)
    return path


def _completer(dialogue: Dialogue) -> Completer:
    from prompt_toolkit.completion import Completer, Completion

    from kdl.runtime.shell.completion import candidates
    from kdl.runtime.shell.dialogue import COMMANDS
    from kdl.runtime.shell.partner import values

    class Words(Completer):
        def get_completions(self, document: Any, complete_event: Any) -> Iterator[Completion]:
            found = candidates(
                dialogue.program,
                lambda relation, column: values(dialogue.partner, relation, column),
                document.text_before_cursor,
                [*COMMANDS, "quit"],
            )
            for word, back in found:
                yield Completion(word, start_position=-back)

    return Words()


def _lexer(dialogue: Dialogue) -> Lexer:
    from prompt_toolkit.lexers import Lexer

    from kdl.runtime.shell.dialogue import COMMANDS
    from kdl.runtime.shell.highlight import pieces

    class Colours(Lexer):
        def lex_document(self, document: Any) -> Any:
            lines = document.lines

            def line(number: int) -> list[tuple[str, str]]:
                commands = COMMANDS if number == 0 else ()
                return [(f"class:{kind}" if kind else "", text) for kind, text in pieces(lines[number], commands)]

            return line

    return Colours()
