"""The reference of packs: what a program's modules declare, in whose words, from which rules, and who reads it.

A pack is a folder of modules. Extension points come first: they are what others build on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from kdl.parser import syntax as s
from kdl.parser.diagnostic import Span
from kdl.rules.program import FAULT, Program, Relation

KINDS: Final[tuple[tuple[str, str, Callable[[Relation], bool]], ...]] = (
    ("Extension points", "Other packs may add rules to these.", lambda r: r.open),
    ("Effects", "What is done, or is to be there.", lambda r: r.effect),
    ("Inputs", "What comes from outside.", lambda r: r.input),
    ("Relations", "What the rules derive.", lambda r: True),
)
"""Title, what it means, and which relations it has: each is in the first that takes it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A relation, as its readers need it."""

    relation: Relation
    rules: tuple[s.Rule, ...]
    readers: tuple[str, ...]
    """The relations whose rules read it, those of other modules last."""


@dataclass(frozen=True, slots=True)
class Module:
    """A module and what it declares, by kind; kinds without a relation are left out."""

    name: str
    doc: str
    kinds: tuple[tuple[str, str, tuple[Entry, ...]], ...]
    functions: tuple[s.FunctionDeclaration, ...]
    additions: tuple[tuple[str, tuple[s.Rule, ...]], ...]
    """What its rules add to other modules' relations."""


@dataclass(frozen=True, slots=True)
class Pack:
    """A folder of modules."""

    name: str
    modules: tuple[Module, ...]


_MODULE: Final = re.compile(r"^module\s+(\w+)\s*\.", re.MULTILINE)


def packs_of(program: Program, chosen: Callable[[Span], bool] = lambda span: True) -> list[Pack]:
    """The packs of a program whose places are chosen, by name."""
    readers = _readers(program)
    folders: dict[PurePath, list[Module]] = {}
    for file, text in program.sources.items():
        if (match := _MODULE.search(text)) is None or file.endswith("_test.dl") or not chosen(Span(file, 1, 1, 1, 1)):
            continue
        name = match[1]
        relations = [r for r in program.relations.values() if _module(r.name) == name and r.name != FAULT]
        functions = tuple(f for key, f in program.functions.items() if _module(key) == name and f.doc)
        added: dict[str, list[s.Rule]] = {}
        for rule in program.rules:
            if rule.span.file == file and _module(rule.head.relation) != name and rule.head.relation != FAULT:
                added.setdefault(rule.head.relation, []).append(rule)
        additions = tuple((relation, tuple(rules)) for relation, rules in sorted(added.items()))
        kinds = tuple(_kinds(program, relations, readers))
        module = Module(name, program.modules.get(name, ""), kinds, functions, additions)
        folders.setdefault(PurePath(file).parent, []).append(module)
    packs = [
        Pack(folder.name or modules[0].name, tuple(sorted(modules, key=lambda module: module.name)))
        for folder, modules in folders.items()
    ]
    return sorted(packs, key=lambda pack: pack.name)


def _kinds(
    program: Program, relations: list[Relation], readers: dict[str, set[str]]
) -> Iterator[tuple[str, str, tuple[Entry, ...]]]:
    left = list(relations)
    for title, meaning, takes in KINDS:
        taken = [relation for relation in left if takes(relation)]
        left = [relation for relation in left if not takes(relation)]
        if taken:
            entries = (Entry(r, program.rules_of[r.name], _sorted(readers.get(r.name, set()), r.name)) for r in taken)
            yield title, meaning, tuple(entries)


def _readers(program: Program) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for rule in program.rules:
        if rule.head.relation != FAULT:
            for literal in rule.body:
                for node in s.walk(literal):
                    if isinstance(node, s.Atom):
                        found.setdefault(node.relation, set()).add(rule.head.relation)
    return found


def _sorted(names: set[str], own: str) -> tuple[str, ...]:
    home = _module(own)
    return tuple(sorted(names, key=lambda name: (_module(name) != home, name)))


def _module(name: str) -> str:
    return name.rpartition(".")[0]


def signature(relation: Relation) -> str:
    """A relation with its columns and their types as declared, and its key."""
    types = relation.types or tuple(column.type for column in relation.columns)
    columns = ", ".join(f"{column.name}: {kind}" for column, kind in zip(relation.columns, types, strict=True))
    key = ", ".join(relation.columns[place].name for place in relation.key)
    text = f"{relation.name.rpartition('.')[2]}({columns})"
    text += f" key({key})" if key else ""
    return text + (f" observes {relation.observes}" if relation.observes else "")


def cited(rules: tuple[s.Rule, ...], lines: bool) -> list[str]:
    """Where rules are: each with its line, or each file with the number of its rules."""
    if lines:
        return [f"{PurePath(rule.span.file).name}:{rule.span.line}" for rule in rules]
    counts: dict[str, int] = {}
    for rule in rules:
        name = PurePath(rule.span.file).name
        counts[name] = counts.get(name, 0) + 1
    return [name if count == 1 else f"{name} ({count})" for name, count in sorted(counts.items())]


# --- as Markdown -----------------------------------------------------------------------------------------------------


def markdown(pack: Pack, lines: bool = True) -> str:
    """The reference of a pack as Markdown."""
    parts = [f"# The pack `{pack.name}`"]
    for module in pack.modules:
        parts += [f"## `{module.name}`", module.doc] if module.doc else [f"## `{module.name}`"]
        for title, meaning, entries in module.kinds:
            parts += [f"### {title}", f"*{meaning}*"]
            parts += ["\n\n".join(_entry(entry, lines)) for entry in entries]
        if module.additions:
            parts += ["### Additions", "*What its rules add to other modules.*"]
            parts.append("\n".join(f"- `{name}`: {', '.join(cited(rules, lines))}" for name, rules in module.additions))
        if module.functions:
            parts.append("### Functions")
            parts += [f"**`{_function(function)}`**\n\n{function.doc}" for function in module.functions]
    return "\n\n".join(parts) + "\n"


def _entry(entry: Entry, lines: bool) -> Iterator[str]:
    yield f"**`{signature(entry.relation)}`**"
    if entry.relation.doc:
        yield entry.relation.doc
    facts = []
    if places := cited(entry.rules, lines):
        facts.append(f"Rules: {', '.join(places)}.")
    if entry.readers:
        facts.append(f"Read by {', '.join(f'`{name}`' for name in entry.readers)}.")
    if facts:
        yield " ".join(facts)


def _function(function: s.FunctionDeclaration) -> str:
    return f"{function.name.rpartition('.')[2]}({', '.join(function.parameters)})"
