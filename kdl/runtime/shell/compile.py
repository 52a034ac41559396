"""`kdl compile`: the functions that rules become, each with its rule and its plan."""

from __future__ import annotations

import json

import click

from kdl.runtime.shell.ask import output_option
from kdl.runtime.shell.change import files_option
from kdl.runtime.shell.scratch import packs


@click.command("compile")
@click.argument("relations", metavar="[RELATION]...", nargs=-1)
@packs
@files_option(required=False)
@click.option("--show", is_flag=True, help="Print the functions, not only how many there are.")
@output_option
def compile_command(
    relations: tuple[str, ...], rules: tuple[str, ...], files: tuple[str, ...], show: bool, output: str
) -> int:
    """Compile the rules of RELATIONs, by default of all.

    Above each function stand its rule and its plan: the literals in the order in which they are taken, how each finds
    its rows, and how many are expected. With manifests joins are ordered for their facts.
    """
    from kdl.parser.manifest.load import load
    from kdl.rules.draft import did_you_mean
    from kdl.rules.engine import Engine
    from kdl.runtime.shell.scratch import facts_of, program_of

    program = program_of(rules)
    for name in relations:
        if name not in program.relations:
            help = did_you_mean(name, program.relations)
            raise click.UsageError(f"there is no relation `{name}`{f': {help}' if help else ''}")
    engine = Engine(program)
    engine.apply(insert=[fact for fact, _ in facts_of(load(files))])
    functions = {name: list(engine.code(name)) for name in relations or program.relations}
    if output == "json":
        click.echo(json.dumps(functions, indent=2))
    elif show:
        click.echo("\n\n".join(text for texts in functions.values() for text in texts))
    else:
        click.echo(f"{sum(map(len, functions.values()))} functions for {len(functions)} relations")
    return 0
