"""`kdl doc`: the reference of packs, from their declarations and `##` comments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from kdl.rules.reference import Pack

STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}code{background:#eee;padding:0 .2em}"
)


@click.command("doc")
@click.option("-r", "--rules", "packs", multiple=True, type=click.Path(), help="These packs, in place of the shipped.")
@click.option("-o", "--output", type=click.Choice(["markdown", "html"]), default="markdown")
@click.option("--out", type=click.Path(file_okay=False), help="Write a file for each pack, and an index, here.")
@click.option("--lines/--no-lines", default=True, help="Name the lines of rules, or only their files.")
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 if the folder is not up to date.")
def doc_command(packs: tuple[str, ...], output: str, out: str | None, lines: bool, check: bool) -> int:
    """Print the reference of packs: their relations, extension points first, from `##` comments."""
    from kdl.rules.reference import markdown, packs_of
    from kdl.runtime.shell.program import compiled, is_in

    if check and out is None:
        raise click.UsageError("`--check` needs `--out`")
    found = packs_of(compiled(packs, alone=False), lambda span: is_in(packs, span))
    texts = {pack.name: markdown(pack, lines) for pack in found}
    index = _index(found, "md" if output == "markdown" else "html")
    if output == "html":
        texts, index = {name: _page(text) for name, text in texts.items()}, _page(index)
    if out is None:
        click.echo("\n".join(texts.values()), nl=False)
        return 0
    suffix, first = (".md", "README.md") if output == "markdown" else (".html", "index.html")
    wanted = {Path(out) / first: index} | {Path(out) / f"{name}{suffix}": text for name, text in texts.items()}
    stale = [path for path, text in wanted.items() if not path.is_file() or path.read_text("utf-8") != text]
    gone = [path for path in sorted(Path(out).glob(f"*{suffix}")) if path not in wanted]
    for path in (*stale, *gone):
        click.echo(f"{'not up to date' if check else 'written' if path in wanted else 'of no pack'}: {path}")
    if check:
        return 1 if stale or gone else 0
    Path(out).mkdir(parents=True, exist_ok=True)
    for path in stale:
        path.write_text(wanted[path], "utf-8")
    return 0


def _index(packs: list[Pack], suffix: str) -> str:
    """A line for each module, in its own first words."""
    lines = ["# Packs"]
    for pack in packs:
        lines.append(f"## [{pack.name}]({pack.name}.{suffix})")
        lines.append("\n".join(f"- `{module.name}`: {_first_sentence(module.doc)}" for module in pack.modules))
    return "\n\n".join(lines) + "\n"


def _first_sentence(doc: str) -> str:
    return re.split(r"(?<=[.?])\s", " ".join(doc.split()), maxsplit=1)[0] if doc else "no description"


# --- the Markdown of references as HTML ------------------------------------------------------------------------------


def _page(text: str) -> str:
    """A page of the few forms that references have: headings, paragraphs, lists, code, strong, emphasis, links."""
    title = re.sub(r"[#`]", "", text.split("\n", 1)[0]).strip()
    body = "\n".join(_blocks(text))
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    return f"<!doctype html>\n<html><head>{head}</head><body>\n{body}\n</body></html>\n"


def _blocks(text: str) -> Iterator[str]:
    for block in re.split(r"\n{2,}", text.strip()):
        if heading := re.match(r"(#+) (.*)", block):
            level = len(heading[1])
            yield f"<h{level}>{_inline(heading[2])}</h{level}>"
        elif block.startswith("- "):
            items = re.split(r"^- ", block, flags=re.MULTILINE)[1:]
            yield "<ul>" + "".join(f"<li>{_inline(item.strip())}</li>" for item in items) + "</ul>"
        else:
            yield f"<p>{_inline(block)}</p>"


def _inline(text: str) -> str:
    pieces = re.split(r"(`[^`]*`)", text)
    return "".join(
        f"<code>{escape(piece[1:-1])}</code>" if piece.startswith("`") and len(piece) > 1 else _marked(escape(piece))
        for piece in pieces
    ).replace("**", "")


def _marked(text: str) -> str:
    text = re.sub(r"\[([^\]]+)\]\(([^)]+)\)", r'<a href="\2">\1</a>', text)
    return re.sub(r"(?<!\*)\*([^*]+)\*(?!\*)", r"<em>\1</em>", text)
