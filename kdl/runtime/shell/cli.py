"""The `kdl` command. Commands are imported when they are called, so that help comes at once.

Exit codes: 0 yes or done, 1 no or failed, 2 usage or bad input.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

import click

COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("up", "Run a cluster on this machine, until it is stopped."),
    "down": ("up", "Stop the running cluster and remove all that it made."),
    "backup": ("keep", "Write everything that the cluster keeps to a file."),
    "restore": ("keep", "Make a data folder from a backup."),
    "apply": ("change", "Create or change the objects of manifests."),
    "delete": ("change", "Delete objects, by kind and name or by manifest."),
    "get": ("get", "List objects, or watch them."),
    "describe": ("describe", "Tell everything about an object, its events too."),
    "logs": ("logs", "Print the log of a pod's container."),
    "plan": ("plan", "Show what manifests would make happen; nothing is done."),
    "eval": ("ask", "Answer a query about manifests, without a cluster."),
    "query": ("ask", "Answer a query about the running cluster."),
    "why": ("ask", "Tell why something is so."),
    "whynot": ("ask", "Tell why something is not so."),
    "whatif": ("whatif", "Tell what would follow if things were different; nothing is done."),
    "history": ("past", "List what the cluster was told, and when."),
    "pack": ("pack", "Add, replace, remove or list rule packs of the running cluster."),
    "repl": ("repl", "Ask, assume and try, line by line."),
    "lsp": ("lsp", "Serve an editor, over standard input and output."),
    "fmt": ("fmt", "Bring rule files to their one form."),
    "check": ("program", "Check rule packs."),
    "test": ("testing", "Run the tests that stand beside rules."),
    "profile": ("profile", "Measure rules over manifests: where the time goes."),
    "compile": ("compile", "Print what rules become: functions, each with its rule and its plan."),
    "doc": ("doc", "Print the reference of packs."),
    "explain": ("program", "Tell the whole story of an error's code."),
}
"""Command → the module in this package that has it, and its line in the help."""


class Commands(click.Group):
    """The commands, imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"kdl.runtime.shell.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands from the table, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kdl")
def kdl() -> None:
    """Containers from Kubernetes manifests, with a control plane that is a Datalog program.

    Every decision is a derivation: ask `kdl why` and `kdl whynot` of anything.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit with its code."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run a command; its exit code."""
    try:
        code = kdl.main(arguments, prog_name="kdl", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = 2
    except (click.Abort, KeyboardInterrupt):
        code = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read has gone: nothing to flush
        code = 1
    except Exception as error:
        code = _told(error)
    return code if isinstance(code, int) else 0


def _told(error: Exception) -> int:
    """Print what a user can do something about; anything else is a bug and goes on."""
    from kdl.parser.diagnostic import Mistakes
    from kdl.runtime.api.connection import NotRunning
    from kdl.runtime.api.errors import ApiError
    from kdl.runtime.store.interface import StoreError

    if isinstance(error, Mistakes):
        click.echo(error.render(), err=True)
        return 2
    if isinstance(error, ApiError):
        text = error.details.get("text") or f"error: {error.message}"
        click.echo(text, err=True)
        return 2 if error.status in (400, 422) else 1
    if isinstance(error, (NotRunning, StoreError, OSError)):
        click.echo(f"error: {error}", err=True)
        return 1
    if type(error).__name__ == "LimitExceeded":  # the engine's; it is not imported for a command that had none
        click.echo(f"error: {error}", err=True)
        return 1
    raise error
