"""Real texts, and changes of them as an absent mind or a bad merge makes them."""

from __future__ import annotations

import random
import re
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
TOKEN: Final = re.compile(r'"(?:[^"\\\n]|\\.)*"|\w+|\s+|:-|[<>!?]=?|\S')
PIECES: Final = (
    ".", ",", ":-", "not ", "(", ")", "{", "}", "[", "]", "_", "X", "null", "true", "0", "-1", "1",
    "99999999999999999999",    '""', '"a"', "??", " in ", "count : ",
    "max ", "rel ", "input ", 'f"{X}"', "=", "!=", "#", "\n", "  ", "..", "0.5",
    ": ", "- ", "&a ", "*a ", "!!int ", "|\n", "\t", "\u2028", "\x00", "é", "1e9", "~", "{}", "[]", "'",
)  # fmt: skip


@cache
def programs() -> tuple[str, ...]:
    """Programs that stand alone: of the semantics, and wrong ones."""
    blocks = [
        block
        for file in sorted((ROOT / "tests/semantics").glob("*.md"))
        for block in re.findall(r"```kdl\n(.*?)```", file.read_text("utf-8"), re.S)
    ]
    return (*blocks, *(file.read_text("utf-8") for file in sorted((ROOT / "tests/diagnostics/programs").glob("*.dl"))))


@cache
def packs() -> tuple[str, ...]:
    """The names of the files of shipped packs, from the repository's root."""
    return tuple(str(file.relative_to(ROOT)) for file in sorted((ROOT / "policies").rglob("*.dl")))


@cache
def manifests() -> tuple[str, ...]:
    """Right manifests and wrong ones."""
    folders = ("examples", "policies", "tests/diagnostics/manifests")
    return tuple(file.read_text("utf-8") for folder in folders for file in sorted((ROOT / folder).rglob("*.yaml")))


def mutated(chance: random.Random, text: str, others: tuple[str, ...]) -> str:
    """The text with one to four changes."""
    for _ in range(chance.choice((1, 1, 2, 3, 4))):
        tokens = TOKEN.findall(text) or [""]
        at = chance.randrange(len(tokens))
        match chance.randrange(8):
            case 0:
                del tokens[at : at + chance.choice((1, 1, 2, 5, 20))]
            case 1:
                tokens.insert(at, chance.choice(PIECES))
            case 2:
                tokens[at] = chance.choice(PIECES)
            case 3:
                tokens[at] = chance.choice(tokens)
            case 4:
                tokens[at] = chance.choice(TOKEN.findall(chance.choice(others)) or [""])
            case 5:
                tokens[at:at] = tokens[at : at + chance.choice((1, 3, 10, 40))]
            case 6:
                lines = text.splitlines(keepends=True) or [""]
                tokens = [*lines, chance.choice(chance.choice(others).splitlines(keepends=True) or [""])]
                chance.shuffle(tokens) if chance.random() < 0.3 else None
            case 7:
                other = chance.randrange(len(tokens))
                tokens[at], tokens[other] = tokens[other], tokens[at]
        text = "".join(tokens)
    return text
