"""Chapters as one page: Markdown, formulas as MathML, code, figures, all inside it."""

import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from matplotlib.figure import Figure
from mdit_py_plugins.dollarmath import dollarmath_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from experiments.figures.page import (
    Html,
    escape,
    figure_block,
    page,
    pre_block,
    section,
    table_block,
)
from experiments.figures.style import WIDTH
from experiments.tutorial.running import Chapter, Piece
from experiments.tutorial.shown import CLAIM_HEAD

CSS = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
LIGHT, DARK = "friendly", "github-dark"


def rendered(chapters: Sequence[Chapter]) -> Html:
    """The page of some chapters, all their claims in one table at its end."""
    sections = [chapter_section(chapter) for chapter in chapters]
    if len(chapters) > 1:
        sections.append(section("All claims", all_claims(chapters)))
    minutes = sum(chapter.seconds for chapter in chapters) / 60
    lead = (
        "Britz 2015, retold: every equation beside its line, every claim beside a "
        f"number. All of it was computed in {minutes:.1f} minutes for this page."
    )
    title = "Recurrent networks from scratch, retold"
    return page(title, sections, lead, CSS + inks())


def inks() -> str:
    """The colours of code, in light and dark."""
    light, dark = (
        HtmlFormatter(style=style, nobackground=True).get_style_defs("pre.code")
        for style in (LIGHT, DARK)
    )
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n"


def chapter_section(chapter: Chapter) -> Html:
    """A chapter: its contents, its cells, its solutions folded."""
    first, *rest = chapter.pieces
    intro = first._replace(text=first.text.partition("\n")[2])
    names = [
        line.removeprefix("## ").strip()
        for piece in rest
        if not piece.code
        for line in piece.text.splitlines()
        if line.startswith("## ")
    ]
    links = [
        f'<a href="#{anchor(chapter.name, name)}">{escape(name)}</a>' for name in names
    ]
    contents = Html(f'<nav class="inner">{" ".join(links)}</nav>')
    blocks = [piece_block(chapter.name, intro), contents]
    for folded, pieces in groupby(rest, key=lambda piece: "solution" in piece.tags):
        inside = [piece_block(chapter.name, piece) for piece in pieces]
        blocks += [folded_block(inside)] if folded else inside
    return section(chapter.title, *blocks)


def folded_block(blocks: Sequence[Html]) -> Html:
    """Blocks that a click unfolds."""
    inner = "\n".join(blocks)
    return Html(f"<details>\n<summary>Solution</summary>\n{inner}\n</details>")


def piece_block(chapter: str, piece: Piece) -> Html:
    """A cell and what it showed."""
    if not piece.code:
        return Html(markdown(chapter).render(piece.text))
    shown = "\n".join(thing_block(thing) for thing in piece.things)
    if "claim" in piece.tags:
        return Html(shown)
    code = highlight(piece.text, PythonLexer(), HtmlFormatter(nowrap=True))
    return Html(f'<pre class="code">{code}</pre>\n{shown}')


def thing_block(thing: Any) -> Html:
    """What a cell showed: a figure, a table, or printed text."""
    if isinstance(thing, Figure):
        block = figure_block(thing)
        if thing.get_figwidth() > WIDTH:
            return Html(f'<div class="broad" tabindex="0">\n{block}\n</div>')
        return block
    if isinstance(thing, str):
        return pre_block(thing.rstrip())
    return Html(thing._repr_html_())


def markdown(chapter: str) -> MarkdownIt:
    """Markdown with tables and with formulas between dollar signs; headings are those
    inside a chapter, and have anchors."""
    reader = MarkdownIt("commonmark").enable("table")
    reader.use(dollarmath_plugin, renderer=formula, double_inline=True)

    def heading(self, tokens, number, options, environment) -> str:
        token, words = tokens[number], tokens[number + 1].content
        level = min(int(token.tag[1]) + 1, 6)
        if token.nesting < 0:
            return f"</h{level}>\n"
        return f'<h{level} id="{anchor(chapter, words)}">'

    reader.add_render_rule("heading_open", heading)
    reader.add_render_rule("heading_close", closing)
    return reader


def closing(self, tokens, number, options, environment) -> str:
    """The end of a heading that was moved down a level."""
    return f"</h{min(int(tokens[number].tag[1]) + 1, 6)}>\n"


def formula(text: str, options: dict[str, Any]) -> str:
    """TeX as MathML."""
    block = bool(options.get("display_mode"))
    return convert(text.strip(), display="block" if block else "inline")


def anchor(chapter: str, words: str) -> str:
    """The name of a heading in the page."""
    return f"{chapter}-{re.sub(r'[^a-z0-9]+', '-', words.lower()).strip('-')}"


def all_claims(chapters: Sequence[Chapter]) -> Html:
    """One table of what the original says and what was measured."""
    rows = [
        [f"{number}. {claim.what}", *claim.row[1:]]
        for number, chapter in enumerate(chapters, 1)
        for claim in chapter.claims
    ]
    return table_block(CLAIM_HEAD, rows, numbers=False)
