"""`kdl fmt`: rule files in their one form."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path

import click


@click.command("fmt")
@click.argument("paths", nargs=-1, type=click.Path(allow_dash=True))
@click.option("--check", is_flag=True, help="Only name the files that are not in their form; exit code 1 if any.")
@click.option("--diff", is_flag=True, help="Only show what would change; exit code 1 if anything.")
def fmt_command(paths: tuple[str, ...], check: bool, diff: bool) -> int:
    """Bring the rule files of PATHS, or of this folder, to their one form.

    `-` reads standard input and prints the result.
    """
    from kdl.parser.diagnostic import Mistakes
    from kdl.parser.format import format
    from kdl.parser.source import texts

    if "-" in paths:
        if len(paths) > 1 or check or diff:
            raise click.UsageError("`-` stands alone")
        click.echo(format(sys.stdin.read(), "<stdin>"), nl=False)
        return 0
    wrong, changed, same = 0, 0, 0
    for name, text in texts([Path(path) for path in paths or (".",)]).items():
        try:
            formatted = format(text, name)
        except Mistakes as error:
            click.echo(error.render(), err=True)
            wrong += 1
            continue
        if formatted == text:
            same += 1
            continue
        changed += 1
        if diff:
            lines = text.splitlines(keepends=True), formatted.splitlines(keepends=True)
            click.echo("".join(difflib.unified_diff(*lines, name, name)), nl=False)
        elif check:
            click.echo(f"would change {name}")
        else:
            Path(name).write_text(formatted, "utf-8")
            click.echo(f"changed {name}")
    if not diff:
        click.echo(f"{changed} {'to change' if check else 'changed'}, {same} in form already", err=True)
    return 2 if wrong else 1 if changed and (check or diff) else 0
