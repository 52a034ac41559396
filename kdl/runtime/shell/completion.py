"""What may stand where a line of the REPL ends: commands, relations, the columns of one, and the constants in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from kdl.fact import Value, literal
from kdl.rules.program import Program, Relation

OFFERED: Final = 200
"""How many constants are offered at once."""

Values = Callable[[str, int], Iterable[Value]]
"""The values in a column of a relation."""


class Place(NamedTuple):
    """Where a line ends: in which relation's arguments, at which column, and the text of that argument so far."""

    relation: Relation
    column: int | None
    """None where a column's name may be written, or anything."""
    text: str
    before: int
    """How many arguments come before."""


def words(program: Program, line: str, commands: Iterable[str] = ()) -> list[str]:
    """Commands at the beginning of a line, and relations and functions anywhere."""
    from kdl.rules.builtin import BUILTINS

    last = last_word(line)
    start = line[: len(line) - len(last)]
    found = [*(commands if not start.strip() else ()), *sorted(program.relations)]
    found += sorted({*BUILTINS, *program.functions})
    direct = [word for word in found if word.startswith(last)]
    return direct + [word for word in program.relations if last and f".{last}" in f".{word}" and word not in direct]


def candidates(program: Program, values: Values, line: str, commands: Iterable[str] = ()) -> list[tuple[str, int]]:
    """The texts that may come, each with how many characters before the end it replaces."""
    place = place_of(program, line)
    if place is not None:
        found = list(_inside(place, values))
        if found:
            return found
        if place.text.startswith('"'):
            return []
    return [(word, len(last_word(line))) for word in words(program, line, commands)]


def _inside(place: Place, values: Values) -> Iterator[tuple[str, int]]:
    columns = place.relation.columns
    if place.column is None and place.text.isidentifier() | (place.text == ""):
        for column in columns:
            if column.name.startswith(place.text):
                yield f"{column.name}: ", len(place.text)
    at = place.column if place.column is not None else place.before
    if at < len(columns) and not place.text[:1].isupper():
        known = sorted({literal(one) for one in values(place.relation.name, at) if not isinstance(one, (dict, tuple))})
        yield from [(one, len(place.text)) for one in known if one.startswith(place.text)][:OFFERED]


def place_of(program: Program, line: str) -> Place | None:
    """The arguments that a line ends in, if it does."""
    opened: list[tuple[int, str]] = []
    starts: list[int] = []
    counts: list[int] = []
    quoted = False
    for index, letter in enumerate(line):
        if quoted:
            quoted = letter != '"' or line[index - 1] == "\\"
        elif letter == '"':
            quoted = True
        elif letter in "([{":
            opened.append((index, letter))
            starts.append(index + 1)
            counts.append(0)
        elif letter in ")]}" and opened:
            opened.pop()
            starts.pop()
            counts.pop()
        elif letter == "," and opened:
            starts[-1] = index + 1
            counts[-1] += 1
    if not opened or opened[-1][1] != "(":
        return None
    relation = relation_of(program, last_word(line[: opened[-1][0]]))
    if relation is None:
        return None
    text = line[starts[-1] :].lstrip()
    name, colon, rest = text.partition(":")
    if colon and '"' not in name and name.strip() in [column.name for column in relation.columns]:
        return Place(relation, relation.position(name.strip()), rest.lstrip(), counts[-1])
    return Place(relation, None, text, counts[-1])


def relation_of(program: Program, word: str) -> Relation | None:
    """The relation of a name, qualified or the only one of its bare name."""
    if word in program.relations:
        return program.relations[word]
    found = [name for name in program.relations if name.endswith(f".{word}")] if word else []
    return program.relations[found[0]] if len(found) == 1 else None


def last_word(line: str) -> str:
    """The word at the end of a line."""
    index = len(line)
    while index and (line[index - 1].isalnum() or line[index - 1] in "._"):
        index -= 1
    return line[index:]


def incomplete(text: str) -> bool:
    """Whether what is typed goes on in the next line: something is open, or it ends as no sentence does."""
    depth, quoted = 0, False
    for index, letter in enumerate(text):
        if quoted:
            quoted = letter != '"' or text[index - 1] == "\\"
        elif letter == '"':
            quoted = True
        elif letter == "#":
            break
        else:
            depth += (letter in "([{") - (letter in ")]}")
    end = text.rstrip()
    return depth > 0 or end.endswith((",", ":-", "\\"))
