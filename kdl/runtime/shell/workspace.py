"""What an editor asks of rule files while they are written: mistakes, meanings, places, names. Texts in, values out.

What a name means comes from the last program that could be checked; where names stand is read from the texts as they
are now, so that answers hold while a text is broken. Lines and columns count from 0 in here.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from kdl.parser import syntax as s
from kdl.parser.diagnostic import Diagnostic, ProgramError
from kdl.parser.parse import parse
from kdl.rules.builtin import BUILTINS
from kdl.rules.check import check
from kdl.rules.lint import lint
from kdl.rules.program import Program, Relation
from kdl.runtime.shell.completion import place_of

_NAME: Final = re.compile(r"(?<![\w.\])}])[a-z]\w*(?:\.[a-z]\w*)?(?=\s*\()")
_OBSERVES: Final = re.compile(r"(?<=\bobserves )\s*([a-z]\w*(?:\.[a-z]\w*)?)")
_IMPORTED: Final = re.compile(r"^from\s+([a-z]\w*)\s+import\s+([^.]*)\.", re.MULTILINE)
_IMPORTS: Final = re.compile(r"^(?:import\s+([a-z]\w*)|from\s+([a-z]\w*))", re.MULTILINE)
_MODULE: Final = re.compile(r"^module\s+([a-z]\w*)\s*\.", re.MULTILINE)
_DECLARED: Final = re.compile(r"^\s*(?:(?:open|input|effect)\s+)*(?:rel|def)\s+$")
_QUOTED: Final = re.compile(r'(f?)"((?:\\.|[^"\\\n])*)"|#[^\n]*')

Kind = Literal["relation", "function", "builtin"]


class Place(NamedTuple):
    """Some characters of one line of a file."""

    file: str
    line: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Symbol:
    """What a name means: a relation or a function, by its qualified name."""

    kind: Kind
    name: str


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A name where it stands; the place is that of its last part, without a module."""

    symbol: Symbol
    place: Place
    declares: bool


class Workspace:
    """The texts of rule files by name, those that are open as they are on the screen."""

    def __init__(self, texts: Mapping[str, str], counts: Callable[[Program], Mapping[str, int]] = lambda _: {}) -> None:
        """`counts` tells how many facts each relation has somewhere."""
        self.texts = dict(texts)
        self.program: Program | None = None
        self._counts = counts
        self._checking = threading.Lock()

    def check(self) -> dict[str, list[Diagnostic]]:
        """The mistakes and warnings of all files, by file; what names mean is up to date then. From any thread."""
        with self._checking:
            return self._checked()

    def _checked(self) -> dict[str, list[Diagnostic]]:
        found: dict[str, list[Diagnostic]] = {name: [] for name in self.texts}
        texts, files = dict(self.texts), list[s.File]()
        try:
            mistakes = list[Diagnostic]()
            for name, text in texts.items():
                try:
                    files.append(_parsed(text, name))
                except ProgramError as error:
                    mistakes += error.diagnostics
            if mistakes:
                raise ProgramError(mistakes, texts)
            program = check(files, texts)
            diagnostics = lint(program)
            self.program = program
        except ProgramError as error:
            diagnostics = list(error.diagnostics)
        for diagnostic in diagnostics:
            if diagnostic.span is not None and diagnostic.span.file in found:
                found[diagnostic.span.file].append(diagnostic)
        return found

    def take(self, file: str, text: str, pool: Mapping[str, str]) -> None:
        """A file is open: with it come those beside it, and out of a pool those that they import.

        It takes the place of another file of its module.
        """
        module = module_of(text)
        same = [name for name, other in self.texts.items() if module and name != file and module_of(other) == module]
        for name in same:
            del self.texts[name]
        self.texts[file] = text
        folder = file.rpartition("/")[0]
        pending = [name for name in pool if name.rpartition("/")[0] == folder]
        modules = {module_of(other) for other in self.texts.values()}
        while pending:
            name = pending.pop()
            if name not in self.texts and (not module_of(pool[name]) or module_of(pool[name]) not in modules):
                self.texts[name] = pool[name]
                modules.add(module_of(pool[name]))
            missing = {m[1] or m[2] for m in _IMPORTS.finditer(self.texts.get(name, ""))} - modules
            pending += [other for other, text in pool.items() if module_of(text) in missing]

    # --- names ---

    def occurrences(self, file: str) -> Iterator[Occurrence]:
        """Every name of a relation or function in a file, in order."""
        text = _bare(self.texts.get(file, ""))
        module = module_of(text)
        for number, line in enumerate(text.split("\n")):
            found = [(m.start(), m[0]) for m in _NAME.finditer(line)]
            found += [(m.start(1), m[1]) for m in _OBSERVES.finditer(line)]
            for start, word in sorted(found):
                symbol = self._meaning(word, module)
                if symbol is not None:
                    last = start + len(word) - len(word.rpartition(".")[2])
                    declares = _DECLARED.match(line[:start]) is not None
                    yield Occurrence(symbol, Place(file, number, last, start + len(word)), declares)
        for imported in _IMPORTED.finditer(text):
            for name in re.finditer(r"[a-z]\w*", imported[2]):
                symbol = self._meaning(f"{imported[1]}.{name[0]}", module)
                if symbol is not None:
                    at = imported.start(2) + name.start()
                    start = at - text.rfind("\n", 0, at) - 1
                    yield Occurrence(symbol, Place(file, text.count("\n", 0, at), start, start + len(name[0])), False)

    def _meaning(self, word: str, module: str) -> Symbol | None:
        if self.program is None:
            return Symbol("builtin", word) if word in BUILTINS else None
        name = self.program.scope.get(module, {}).get(word, word)
        for candidate in (name, f"{module}.{word}" if module else word):
            if candidate in self.program.relations:
                return Symbol("relation", candidate)
            if candidate in self.program.functions:
                return Symbol("function", candidate)
        return Symbol("builtin", word) if word in BUILTINS else None

    def at(self, file: str, line: int, column: int) -> Occurrence | None:
        """The name at a position."""
        for found in self.occurrences(file):
            place = found.place
            if place.line == line and self._start(place) <= column <= place.end:
                return found
        return None

    def _start(self, place: Place) -> int:
        """Where a name begins with its module."""
        text = self.texts[place.file].split("\n")[place.line]
        start = place.start
        while start and (text[start - 1].isalnum() or text[start - 1] in "._"):
            start -= 1
        return start

    def references(self, symbol: Symbol) -> list[Occurrence]:
        """Every place of a name, the declaration among them."""
        return [one for file in self.texts for one in self.occurrences(file) if one.symbol == symbol]

    def definition(self, symbol: Symbol) -> Place | None:
        """Where a name is declared."""
        return next((one.place for one in self.references(symbol) if one.declares), None)

    def renamed(self, symbol: Symbol, new: str) -> list[Place]:
        """The places to be replaced by a new name. Raises `ValueError` if it cannot be one."""
        if symbol.kind == "builtin":
            raise ValueError(f"`{symbol.name}` is built in")
        if re.fullmatch(r"[a-z]\w*", new) is None:
            raise ValueError(f"`{new}` cannot be a name: it begins with a lower-case letter")
        module = symbol.name.rpartition(".")[0]
        taken = f"{module}.{new}" if module else new
        program = self.program
        if program is not None and (taken in program.relations or taken in program.functions):
            raise ValueError(f"there is a `{taken}` already")
        return [one.place for one in self.references(symbol)]

    # --- words ---

    def hover(self, file: str, line: int, column: int) -> str | None:
        """What stands at a position, as Markdown: its declaration, its doc, how many facts there are."""
        program = self.program
        found = self.at(file, line, column)
        if found is None:
            return self._variable(file, line, column)
        symbol = found.symbol
        if symbol.kind == "builtin":
            builtin = BUILTINS[symbol.name]
            return _markdown(f"{builtin.name}({', '.join(builtin.parameters)}): {builtin.result}", builtin.doc)
        assert program is not None
        if symbol.kind == "function":
            function = program.functions[symbol.name]
            return _markdown(f"def {symbol.name}({', '.join(function.parameters)})", function.doc)
        count = self._counts(program).get(symbol.name)
        told = [program.relations[symbol.name].doc] + ([f"{count} facts"] if count is not None else [])
        return _markdown(declaration(program.relations[symbol.name]), *told)

    def _variable(self, file: str, line: int, column: int) -> str | None:
        """The type of a variable: that of a column it stands in."""
        text = self.texts.get(file, "").split("\n")
        word = next((m[0] for m in re.finditer(r"\b[A-Z]\w*", text[line] if line < len(text) else "")
                     if m.start() <= column <= m.end()), None)  # fmt: skip
        if word is None or self.program is None:
            return None
        for rule in self.program.rules:
            if rule.span.file != file or not rule.span.line <= line + 1 <= rule.span.end_line:
                continue
            for atom in s.walk(rule):
                if isinstance(atom, s.Atom) and atom.relation in self.program.relations:
                    relation = self.program.relations[atom.relation]
                    for argument, known in zip(atom.arguments, relation.columns, strict=False):
                        if argument.value == s.Variable(word):
                            return _markdown(f"{word}: {known.type}", f"column `{known.name}` of `{relation.name}`")
        return None

    def completions(self, file: str, line: int, column: int) -> list[tuple[str, str, str]]:
        """What may stand at a position: label, kind (relation, function, builtin, column, variable) and detail."""
        program = self.program
        if program is None:
            return []
        lines = self.texts.get(file, "").split("\n")
        module = module_of(self.texts.get(file, ""))
        scope = program.scope.get(module, {})
        before = _statement(lines, line, column)
        found: list[tuple[str, str, str]] = []
        own = {name: known for known, name in scope.items()}
        resolved = re.sub(r"[a-z]\w*(?=\()", lambda m: scope.get(m[0], m[0]), before)
        place = place_of(program, resolved)
        if place is not None and (place.text == "" or place.text.isidentifier()):
            found += [(f"{column.name}: ", "column", column.type) for column in place.relation.columns]
        found += [(name, "variable", "") for name in sorted(set(re.findall(r"\b[A-Z]\w*", before)))]
        for name, relation in program.relations.items():
            found.append((own.get(name, name), "relation", declaration(relation)))
        for name in program.functions:
            found.append((own.get(name, name), "function", ""))
        found += [(name, "builtin", item.doc.partition("\n")[0]) for name, item in BUILTINS.items() if "$" not in name]
        return found


def declaration(relation: Relation) -> str:
    """A relation's declaration on one line."""
    words = [word for word in ("input", "open", "effect") if getattr(relation, word)]
    columns = ", ".join(f"{column.name}: {column.type}" for column in relation.columns)
    key = f" key({', '.join(relation.columns[index].name for index in relation.key)})" if relation.key else ""
    observes = f" observes {relation.observes}" if relation.observes else ""
    return f"{' '.join([*words, 'rel'])} {relation.name}({columns}){key}{observes}"


@lru_cache(maxsize=512)
def _parsed(text: str, name: str) -> s.File:
    return parse(text, name)


def module_of(text: str) -> str:
    """The module that a text says it is; empty for none."""
    found = _MODULE.search(text)
    return found[1] if found else ""


def _bare(text: str) -> str:
    """The text with everything blank that no name stands in: comments and texts, but for the braces of f-strings."""

    def blank(found: re.Match[str]) -> str:
        if not found[1]:
            return " " * len(found[0])
        shown = re.sub(r"(^|\})[^{}]*", lambda m: " " * len(m[0]), found[2])
        return f"  {shown} "

    return _QUOTED.sub(blank, text)


def _statement(lines: list[str], line: int, column: int) -> str:
    """The statement that a position is in, up to there."""
    text = lines[line][:column] if line < len(lines) else ""
    while line > 0 and lines[line - 1].strip() and not re.search(r"\.\s*(#.*)?$", lines[line - 1]):
        line -= 1
        text = f"{lines[line]}\n{text}"
    return text


def _markdown(code: str, *parts: str) -> str:
    return "\n\n".join([f"```prolog\n{code}\n```", *(part for part in parts if part)])
