"""Commands about rule packs themselves: `check` and `explain`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from kdl.runtime.shell.change import files_option

if TYPE_CHECKING:
    from kdl.parser.diagnostic import Diagnostic, Span
    from kdl.rules.program import Program


def output_option(function: Any) -> Any:
    """Text for people or JSON for scripts."""
    return click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")(function)


def compiled(packs: tuple[str, ...], alone: bool) -> Program:
    """The program of packs, on top of the shipped ones if they do not stand alone."""
    from kdl.runtime.programs import compile
    from kdl.runtime.shell.scratch import sources

    return compile(list(packs) if alone else sources(packs))


alone_option = click.option("--alone", is_flag=True, help="These packs without the shipped ones.")


@click.command("check")
@click.argument("packs", nargs=-1, type=click.Path())
@files_option(required=False)
@alone_option
@click.option("--strict", is_flag=True, help="Warnings fail, too: exit code 1.")
@output_option
def check_command(packs: tuple[str, ...], files: tuple[str, ...], alone: bool, strict: bool, output: str) -> int:
    """Check PACKS, on top of the shipped ones, and manifests.

    Warnings are told of PACKS alone. A comment `# allow KDL241: why` at a rule takes one away.
    """
    from kdl.parser.diagnostic import Mistakes
    from kdl.parser.manifest.load import load
    from kdl.rules.lint import lint

    diagnostics: list[Diagnostic] = []
    texts: dict[str, str] = {}
    told = []
    try:
        program = compiled(packs, alone)
        diagnostics += [warning for warning in lint(program) if is_in(packs, warning.span)]
        texts |= program.sources
        told.append(f"{len(program.rules)} rules for {len(program.relations)} relations, {len(program.tests)} tests")
    except Mistakes as error:
        diagnostics += error.diagnostics
        texts |= error.sources
    try:
        manifests = load(files)
        if files:
            told.append(f"{len(manifests)} objects")
    except Mistakes as error:
        diagnostics += error.diagnostics
        texts |= error.sources
    bad = any(diagnostic.severity == "error" for diagnostic in diagnostics)
    if output == "json":
        found = [diagnostic.json() for diagnostic in diagnostics]
        click.echo(json.dumps({"ok": not bad, "diagnostics": found}, indent=2))
        return 2 if bad else 1 if strict and found else 0
    if diagnostics:
        click.echo("\n\n".join(diagnostic.render(texts) for diagnostic in diagnostics), err=True)
    if not bad:
        warnings = f", {len(diagnostics)} warning{'s' * (len(diagnostics) > 1)}" if diagnostics else ""
        click.echo(f"ok: {', '.join(told)}{warnings}")
    return 2 if bad else 1 if strict and diagnostics else 0


def is_in(packs: tuple[str, ...], span: Span | None) -> bool:
    """Whether a place is in one of these files and folders; anything is if there are none."""
    from pathlib import Path

    if not packs or span is None:
        return True
    return any(Path(span.file).resolve().is_relative_to(Path(pack).resolve()) for pack in packs)


@click.command("explain")
@click.argument("code", required=False)
@output_option
def explain_command(code: str | None, output: str) -> int:
    """Tell the story of an error's CODE, such as KDL301; without one, list all codes."""
    from kdl.parser.catalogue import catalogue

    stories = catalogue()
    if code is None:
        if output == "json":
            click.echo(json.dumps({name: story.title for name, story in sorted(stories.items())}, indent=2))
        else:
            click.echo("\n".join(f"{name}  {story.title}" for name, story in sorted(stories.items())))
        return 0
    word = code.upper() if code.upper().startswith("KDL") else f"KDL{code}"
    story = stories.get(word)
    if story is None:
        from difflib import get_close_matches

        near = ", ".join(get_close_matches(word, stories, 3, 0.6))
        raise click.UsageError(f"there is no code `{code}`" + (f": did you mean one of {near}?" if near else ""))
    parts = story._asdict()
    if output == "json":
        click.echo(json.dumps({"code": word, **parts}, indent=2))
        return 0
    from textwrap import fill, indent

    click.echo(f"{word}: {story.title}\n\n{fill(parts.get('story') or parts['text'], 100)}")
    for title in ("wrong", "right", "example"):  # stories of programs have two texts, those of manifests one
        if text := parts.get(title):
            click.echo(f"\n{title.capitalize()}:\n\n{indent(text.rstrip(), '    ')}")
    return 0
