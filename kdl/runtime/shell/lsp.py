"""`kdl lsp`: a language server for rule files, over standard input and output."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kdl.runtime.shell.change import files_option
from kdl.runtime.shell.connect import data_option

if TYPE_CHECKING:
    from lsprotocol import types as lsp
    from pygls.lsp.server import LanguageServer

    from kdl.parser.diagnostic import Diagnostic
    from kdl.rules.program import Program
    from kdl.runtime.shell.workspace import Place, Workspace

PAUSE = 0.2
"""Seconds without a change after which texts are checked."""


@click.command("lsp")
@files_option(required=False)
@data_option
def lsp_command(files: tuple[str, ...], data: Path) -> int:
    """Serve an editor: mistakes, meanings, completion, references, renaming, formatting.

    Counts of facts are those of the running cluster, or of the manifests given with -f.
    """
    try:
        import pygls  # noqa: F401
    except ImportError:
        raise click.UsageError("the language server needs pygls: pip install 'kdl[lsp]'") from None
    server(files, data).start_io()
    return 0


def server(files: tuple[str, ...], data: Path) -> LanguageServer:
    """The server with everything that it answers."""
    from importlib.metadata import version

    from lsprotocol import types as lsp
    from pygls.lsp.server import LanguageServer

    from kdl.parser.source import shipped
    from kdl.runtime.shell.workspace import Workspace

    made = LanguageServer("kdl", version("kdl"))
    state = Workspace({}, _Counts(files, data))
    timer: list[asyncio.Task[None]] = []

    async def check(pause: float) -> None:
        await asyncio.sleep(pause)
        found = await asyncio.to_thread(state.check)
        for file, diagnostics in found.items():
            items = [_diagnostic(one, state) for one in diagnostics]
            if items or file in shown:
                shown.add(file)
                made.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(_uri(file), items))

    shown: set[str] = set()
    pool: dict[str, str] = {}

    def changed(uri: str, pause: float = PAUSE) -> None:
        document = made.workspace.get_text_document(uri)
        file = _file(uri)
        if file not in state.texts or file not in shown:
            pool.update(_texts([Path(file).parent]))
            state.take(file, document.source, pool)
        state.texts[file] = document.source
        shown.add(file)
        for task in timer:
            task.cancel()
        timer[:] = [asyncio.ensure_future(check(pause))]

    @made.feature(lsp.INITIALIZED)
    def initialized(params: lsp.InitializedParams) -> None:
        roots = [Path(_file(folder.uri)) for folder in made.workspace.folders.values()]
        pool.update(_texts(roots))
        state.texts.update(_texts(shipped()))
        timer[:] = [asyncio.ensure_future(check(0))]

    @made.feature(lsp.TEXT_DOCUMENT_DID_OPEN)
    def opened(params: lsp.DidOpenTextDocumentParams) -> None:
        changed(params.text_document.uri, 0)

    @made.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)
    def edited(params: lsp.DidChangeTextDocumentParams) -> None:
        changed(params.text_document.uri)

    @made.feature(lsp.TEXT_DOCUMENT_HOVER)
    async def hover(params: lsp.HoverParams) -> lsp.Hover | None:
        await _settled(timer)
        text = state.hover(*_position(state, params))
        return lsp.Hover(lsp.MarkupContent(lsp.MarkupKind.Markdown, text)) if text else None

    @made.feature(lsp.TEXT_DOCUMENT_DEFINITION)
    async def definition(params: lsp.DefinitionParams) -> lsp.Location | None:
        await _settled(timer)
        found = state.at(*_position(state, params))
        place = state.definition(found.symbol) if found is not None else None
        return _location(place, state) if place is not None else None

    @made.feature(lsp.TEXT_DOCUMENT_REFERENCES)
    async def references(params: lsp.ReferenceParams) -> list[lsp.Location]:
        await _settled(timer)
        found = state.at(*_position(state, params))
        every = state.references(found.symbol) if found is not None else []
        wanted = [one for one in every if params.context.include_declaration or not one.declares]
        return [_location(one.place, state) for one in wanted]

    @made.feature(lsp.TEXT_DOCUMENT_COMPLETION, lsp.CompletionOptions(trigger_characters=["(", ".", ","]))
    async def completion(params: lsp.CompletionParams) -> list[lsp.CompletionItem]:
        await _settled(timer)
        kinds = {
            "relation": lsp.CompletionItemKind.Class,
            "function": lsp.CompletionItemKind.Function,
            "builtin": lsp.CompletionItemKind.Function,
            "column": lsp.CompletionItemKind.Field,
            "variable": lsp.CompletionItemKind.Variable,
        }
        found = state.completions(*_position(state, params))
        return [lsp.CompletionItem(label, kind=kinds[kind], detail=detail or None) for label, kind, detail in found]

    @made.feature(lsp.TEXT_DOCUMENT_FORMATTING)
    def formatting(params: lsp.DocumentFormattingParams) -> list[lsp.TextEdit] | None:
        from kdl.parser.diagnostic import ProgramError
        from kdl.parser.format import format

        text = state.texts[_file(params.text_document.uri)]
        try:
            new = format(text)
        except ProgramError:
            return None
        whole = lsp.Range(lsp.Position(0, 0), lsp.Position(text.count("\n") + 1, 0))
        return [lsp.TextEdit(whole, new)] if new != text else []

    @made.feature(lsp.TEXT_DOCUMENT_RENAME)
    async def rename(params: lsp.RenameParams) -> lsp.WorkspaceEdit:
        from pygls.exceptions import JsonRpcInvalidRequest

        await _settled(timer)
        found = state.at(*_position(state, params))
        try:
            if found is None:
                raise ValueError("there is no name of a relation or function here")
            places = state.renamed(found.symbol, params.new_name)
        except ValueError as error:
            raise JsonRpcInvalidRequest(str(error)) from None
        edits: dict[str, list[lsp.TextEdit]] = {}
        for place in places:
            edit = lsp.TextEdit(_location(place, state).range, params.new_name)
            edits.setdefault(_uri(place.file), []).append(edit)
        return lsp.WorkspaceEdit(changes=edits)

    return made


async def _settled(timer: list[asyncio.Task[None]]) -> None:
    """Wait until what was typed has been checked."""
    while timer and not timer[0].done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(timer[0])


def _texts(roots: list[Path]) -> Iterator[tuple[str, str]]:
    """The rule files of folders, as far as they can be read."""
    for root in roots:
        for path in sorted(root.rglob("*.dl")):
            with contextlib.suppress(OSError, UnicodeDecodeError):
                yield str(path.resolve()), path.read_text("utf-8")


class _Counts:
    """How many facts each relation has: of the running cluster, or worked out from manifests."""

    def __init__(self, files: tuple[str, ...], data: Path) -> None:
        self._files, self._data = files, data
        self._known: tuple[Program, Mapping[str, int]] | None = None

    def __call__(self, program: Program) -> Mapping[str, int]:
        if self._known is None or self._known[0] is not program:
            try:
                self._known = program, self._counted(program)
            except Exception as error:  # an editor is served without counts rather than not at all
                print(f"no counts of facts: {error}", file=sys.stderr)
                self._known = program, {}
        return self._known[1]

    def _counted(self, program: Program) -> Mapping[str, int]:
        if self._files:
            from kdl.runtime.shell.scratch import Scratch

            engine = Scratch(program, self._files).engine
            return {name: engine.count(name) for name in program.relations}
        from kdl.runtime.api.connection import NotRunning
        from kdl.runtime.shell.connect import server

        try:
            with server(self._data) as client:
                counts: Mapping[str, int] = client.kdl("program")["counts"]
        except NotRunning:
            return {}
        return counts


# --- places: the editor counts UTF-16 units from 0, diagnostics characters from 1 ---


def _file(uri: str) -> str:
    from pygls.uris import to_fs_path

    path = to_fs_path(uri)
    return str(Path(path).resolve()) if path else uri


def _uri(file: str) -> str:
    from pygls.uris import from_fs_path

    return from_fs_path(file) or file


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _position(state: Workspace, params: Any) -> tuple[str, int, int]:
    file, position = _file(params.text_document.uri), params.position
    lines = state.texts.get(file, "").split("\n")
    line = lines[position.line] if position.line < len(lines) else ""
    column = len(line.encode("utf-16-le")[: 2 * position.character].decode("utf-16-le", "ignore"))
    return file, position.line, column


def _range(state: Workspace, file: str, start: tuple[int, int], end: tuple[int, int]) -> lsp.Range:
    from lsprotocol import types as lsp

    lines = state.texts.get(file, "").split("\n")

    def position(line: int, column: int) -> lsp.Position:
        text = lines[line] if line < len(lines) else ""
        return lsp.Position(line, _units(text[:column]))

    return lsp.Range(position(*start), position(*end))


def _location(place: Place, state: Workspace) -> lsp.Location:
    from lsprotocol import types as lsp

    there = _range(state, place.file, (place.line, place.start), (place.line, place.end))
    return lsp.Location(_uri(place.file), there)


def _diagnostic(found: Diagnostic, state: Workspace) -> lsp.Diagnostic:
    from lsprotocol import types as lsp

    span = found.span
    assert span is not None
    severity = lsp.DiagnosticSeverity.Error if found.severity == "error" else lsp.DiagnosticSeverity.Warning
    told = [found.message, *(f"note: {note.message}" for note in found.notes)]
    told += [f"help: {found.help}"] if found.help else []
    return lsp.Diagnostic(
        _range(state, span.file, (span.line - 1, span.column - 1), (span.end_line - 1, span.end_column - 1)),
        "\n".join(told),
        severity=severity,
        code=found.code,
        source="kdl",
    )
