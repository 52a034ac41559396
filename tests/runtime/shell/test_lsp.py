"""`kdl lsp` with a client of the protocol over standard input and output, as an editor has one."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException
from pygls.lsp.client import LanguageClient

from tests.runtime.shell.conftest import POLICIES

SHOP = """\
## The rules of a shop.
module shop.
import core.

## A pod of the shop; “ü𝄞” is wide.
rel mine(pod: str, team: str).
mine(P, T) :- core.pod(id: P), core.label("Pod", P, "team", T).

## How a team is called.
def called(T) = f"team {T}".

rel teams(team: str, name: str).
teams(T, called(T)) :- mine(_, T).
"""
OTHER = """\
module other.
import shop.
from shop import teams.

rel big(name: str).
big(N) :- teams(T, N), shop.mine(_, T), N != f"x {shop.called(T)}".   # shop.mine( is not one
"""


class Editor:
    """An editor with some files open."""

    def __init__(self, client: LanguageClient, folder: Path) -> None:
        self.client, self.folder = client, folder
        self.versions: dict[str, int] = {}
        self.diagnostics: dict[str, list[lsp.Diagnostic]] = {}
        self._news = asyncio.Event()

        @client.feature(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def published(params: lsp.PublishDiagnosticsParams) -> None:
            self.diagnostics[params.uri] = list(params.diagnostics)
            self._news.set()

    def uri(self, name: str) -> str:
        return (self.folder / name).resolve().as_uri()

    def open(self, name: str) -> None:
        text = (self.folder / name).read_text()
        self.versions[name] = 1
        item = lsp.TextDocumentItem(self.uri(name), "kdl", 1, text)
        self.client.text_document_did_open(lsp.DidOpenTextDocumentParams(item))

    def edit(self, name: str, text: str) -> None:
        self.versions[name] += 1
        document = lsp.VersionedTextDocumentIdentifier(self.versions[name], self.uri(name))
        change = lsp.TextDocumentContentChangeWholeDocument(text)
        self.client.text_document_did_change(lsp.DidChangeTextDocumentParams(document, [change]))

    async def told(self, name: str, holds: Callable[[list[lsp.Diagnostic]], bool]) -> list[lsp.Diagnostic]:
        """Wait until what is said about a file is so."""
        async with asyncio.timeout(60):
            while self.uri(name) not in self.diagnostics or not holds(self.diagnostics[self.uri(name)]):
                self._news.clear()
                await self._news.wait()
        return self.diagnostics[self.uri(name)]

    def place(self, name: str, text: str, marked: str, shift: int = 0) -> dict[str, Any]:
        """The position of the first occurrence of a text, in units of the protocol."""
        before = text[: text.index(marked) + shift]
        line = before.rpartition("\n")[2]
        position = lsp.Position(before.count("\n"), len(line.encode("utf-16-le")) // 2)
        return {"text_document": lsp.TextDocumentIdentifier(self.uri(name)), "position": position}


def with_editor(folder: Path, use: Callable[[Editor], Awaitable[None]], *words: str) -> None:
    """Use an editor with a folder that has the shop's two files."""
    (folder / "shop.dl").write_text(SHOP)
    (folder / "other.dl").write_text(OTHER)

    async def session() -> None:
        client = LanguageClient("test", "1")
        code = "from kdl.runtime.shell.cli import main; main()"
        await client.start_io(sys.executable, "-c", code, "lsp", "--data", str(folder / "none"), *words)
        editor = Editor(client, folder)
        folders = [lsp.WorkspaceFolder(folder.resolve().as_uri(), "shop")]
        await client.initialize_async(
            lsp.InitializeParams(capabilities=lsp.ClientCapabilities(), workspace_folders=folders)
        )
        client.initialized(lsp.InitializedParams())
        try:
            async with asyncio.timeout(120):
                await use(editor)
        finally:
            await client.shutdown_async(None)
            client.exit(None)
            await client.stop()

    asyncio.run(session())


def test_mistakes_come_with_their_place_and_go_when_they_are_mended(tmp_path: Path) -> None:
    async def use(editor: Editor) -> None:
        editor.open("shop.dl")
        assert [d for d in await editor.told("shop.dl", lambda found: True) if d.severity == 1] == []
        editor.edit("shop.dl", SHOP.replace("core.pod(id: P)", "core.podd(id: P)"))
        (mistake,) = await editor.told("shop.dl", lambda found: any(d.severity == 1 for d in found))
        assert mistake.code.startswith("KDL2")
        assert "`podd`" in mistake.message
        assert "did you mean" in mistake.message
        assert (mistake.range.start.line, mistake.range.start.character) == (6, 14)
        editor.edit("shop.dl", SHOP + "mine(P :- .")
        (mistake,) = await editor.told("shop.dl", lambda found: any(d.range.start.line == 13 for d in found))
        editor.edit("shop.dl", SHOP + "rel pair(a: str, b: str).\npair(A, B) :- mine(A, _), mine(B, _).\n")
        found = await editor.told("shop.dl", lambda found: any(d.code == "KDL241" for d in found))
        assert {d.severity for d in found} == {2}
        editor.edit("shop.dl", SHOP)
        await editor.told("shop.dl", lambda found: not any(d.code == "KDL241" for d in found))

    with_editor(tmp_path, use)


def test_hover_tells_declaration_doc_and_how_many_facts(tmp_path: Path) -> None:
    async def use(editor: Editor) -> None:
        editor.open("shop.dl")

        async def hover(marked: str, shift: int = 0) -> str:
            found = await editor.client.text_document_hover_async(
                lsp.HoverParams(**editor.place("shop.dl", SHOP, marked, shift))
            )
            return found.contents.value if found is not None else ""

        told = await hover("core.pod(", 6)
        assert "rel core.pod(id: str, namespace: str, name: str, uid: str)" in told
        assert "A pod that exists, in whatever phase." in told
        assert "3 facts" in told
        assert "rel shop.mine(pod: str, team: str)" in await hover("mine(_")
        assert "“ü𝄞” is wide" in await hover("mine(P, T)")
        assert "How a team is called." in await hover("called(T)) ")
        assert "P: str" in await hover("P), core.label")
        assert await hover("## The rules") == ""

    with_editor(tmp_path, use, "-f", str(POLICIES / "latest.yaml"))


def test_definitions_and_references_over_files(tmp_path: Path) -> None:
    async def use(editor: Editor) -> None:
        editor.open("shop.dl")
        editor.open("other.dl")
        place = editor.place("other.dl", OTHER, "shop.mine(_", 6)
        there = await editor.client.text_document_definition_async(lsp.DefinitionParams(**place))
        assert (there.uri, there.range.start.line, there.range.start.character) == (editor.uri("shop.dl"), 5, 4)
        pod = await editor.client.text_document_definition_async(
            lsp.DefinitionParams(**editor.place("shop.dl", SHOP, "core.pod(", 2))
        )
        assert pod.uri.endswith("/policies/core/core.dl")
        everywhere = await editor.client.text_document_references_async(
            lsp.ReferenceParams(**place, context=lsp.ReferenceContext(include_declaration=True))
        )
        lines = sorted((one.uri.rpartition("/")[2], one.range.start.line) for one in everywhere)
        assert lines == [("other.dl", 5), ("shop.dl", 5), ("shop.dl", 6), ("shop.dl", 12)]

    with_editor(tmp_path, use)


@pytest.mark.parametrize(("name", "new"), [("mine(P", "ours"), ("called(T) =", "titled"), ("teams(T, c", "groups")])
def test_renaming_renames_everywhere_and_nothing_else(tmp_path: Path, name: str, new: str) -> None:
    async def use(editor: Editor) -> None:
        editor.open("shop.dl")
        editor.open("other.dl")
        place = editor.place("shop.dl", SHOP, name)
        edit = await editor.client.text_document_rename_async(lsp.RenameParams(**place, new_name=new))
        texts = {editor.uri("shop.dl"): SHOP, editor.uri("other.dl"): OTHER}
        for uri, changes in edit.changes.items():
            lines = texts[uri].split("\n")
            for change in sorted(changes, key=lambda one: -one.range.start.character):
                line, wide = change.range.start.line, lambda text: text.encode("utf-16-le")
                raw = wide(lines[line])
                start, end = 2 * change.range.start.character, 2 * change.range.end.character
                lines[line] = (raw[:start] + wide(change.new_text) + raw[end:]).decode("utf-16-le")
            texts[uri] = "\n".join(lines)
        old = name.partition("(")[0]
        code = "\n".join(line.partition("#")[0] for text in texts.values() for line in text.split("\n"))
        assert f"{old}(" not in code
        for file, text in (("shop.dl", texts[editor.uri("shop.dl")]), ("other.dl", texts[editor.uri("other.dl")])):
            editor.edit(file, text)
        editor.diagnostics.clear()
        for file in ("shop.dl", "other.dl"):
            assert [d.message for d in await editor.told(file, lambda found: True) if d.severity == 1] == []
        for wrong in ("Upper", "teams" if old == "mine" else "mine"):
            with pytest.raises(JsonRpcException):
                await editor.client.text_document_rename_async(
                    lsp.RenameParams(**editor.place("shop.dl", texts[editor.uri("shop.dl")], new), new_name=wrong)
                )

    with_editor(tmp_path, use)


def test_completion_offers_columns_inside_and_names_by_their_scope(tmp_path: Path) -> None:
    async def use(editor: Editor) -> None:
        editor.open("shop.dl")
        await editor.told("shop.dl", lambda found: True)
        text = SHOP + "rel more(p: str).\nmore(P) :- core.pod("
        editor.edit("shop.dl", text)
        place = editor.place("shop.dl", text, "more(P) :- core.pod(", len("more(P) :- core.pod("))
        items = await editor.client.text_document_completion_async(lsp.CompletionParams(**place))
        labels = {item.label for item in items}
        assert {"id: ", "namespace: ", "P", "mine", "called", "core.phase", "split"} <= labels
        assert "shop.mine" not in labels

    with_editor(tmp_path, use)


def test_formatting_is_that_of_kdl_fmt(tmp_path: Path) -> None:
    async def use(editor: Editor) -> None:
        (tmp_path / "ugly.dl").write_text("module ugly.\nrel   p( a:int ).\np( A ):-A in 1 .. 3.\n")
        editor.open("ugly.dl")
        document = lsp.TextDocumentIdentifier(editor.uri("ugly.dl"))
        options = lsp.FormattingOptions(tab_size=4, insert_spaces=True)
        request = lsp.DocumentFormattingParams(document, options)
        (edit,) = await editor.client.text_document_formatting_async(request)
        assert "rel p(a: int)." in edit.new_text
        editor.edit("ugly.dl", edit.new_text)
        assert list(await editor.client.text_document_formatting_async(request)) == []
        editor.edit("ugly.dl", "rel p(")
        assert not await editor.client.text_document_formatting_async(request)

    with_editor(tmp_path, use)


def test_counts_are_those_of_the_running_cluster(tmp_path: Path, cluster: Path) -> None:
    async def use(editor: Editor) -> None:
        editor.open("shop.dl")
        await editor.told("shop.dl", lambda found: True)
        hover = await editor.client.text_document_hover_async(
            lsp.HoverParams(**editor.place("shop.dl", SHOP, "core.pod(", 6))
        )
        assert "3 facts" in hover.contents.value

    with_editor(tmp_path, use, "--data", str(cluster))
