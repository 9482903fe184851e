"""Pieces of a page: one self-contained HTML file, for screens small and large, in
light and dark, and for paper.

    page("Two runs", [section("Loss", figure_block(figure), table_block(head, rows))])

Every text that goes in is escaped here; only what these functions gave is put in as it
is. Nothing on the page is fetched from anywhere.
"""

import html
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
from matplotlib.figure import Figure

from experiments.figures.style import INK, STYLE, reading_of

CSS = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")


class Html(str):
    """Text that is HTML already."""


class Cell(NamedTuple):
    """A table's cell with something to say of it: `note` is a word in brackets after
    it, `strong` sets it off."""

    text: Any
    strong: bool = False
    note: str = ""


def page(title: str, sections: Iterable[Html], lead: str = "", style: str = "") -> Html:
    """The whole document. `lead`: a sentence below the title; `style`: CSS besides."""
    sections = list(sections)
    found = [re.match(r'<section id="([^"]*)">\n<h2>(.*?)</h2>', s) for s in sections]
    links = [f'<a href="#{m[1]}">{m[2]}</a>' for m in found if m]
    return Html(
        "<!DOCTYPE html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>\n{CSS}{style}</style>\n</head>\n<body>\n"
        f"<header>\n<h1>{escape(title)}</h1>\n"
        + (f"<p>{escape(lead)}</p>\n" if lead else "")
        + (f"<nav>{' '.join(links)}</nav>\n" if len(links) > 1 else "")
        + "</header>\n<main>\n"
        + "\n".join(sections)
        + "\n</main>\n</body>\n</html>\n"
    )


def section(heading: str, *blocks: Html) -> Html:
    """Blocks under a heading, which the page's contents link to."""
    name = re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-") or "section"
    inner = "\n".join(blocks)
    return Html(
        f'<section id="{name}">\n<h2>{escape(heading)}</h2>\n{inner}\n</section>'
    )


def figure_grid(*figures: Html) -> Html:
    """Figures side by side where there is room for them."""
    inner = "\n".join(figures)
    return Html(f'<div class="grid">\n{inner}\n</div>')


def figure_block(figure: Figure) -> Html:
    """A figure as SVG, its ink in the page's text colour, with its own sentence on how
    to read it as the caption."""
    picture, told = _inline_svg(figure)
    caption = f"<figcaption>{escape(told)}</figcaption>"
    return Html(f"<figure>\n{picture}\n{caption}\n</figure>")


def table_block(
    head: Sequence[Any],
    rows: Iterable[Sequence[Any]],
    caption: str = "",
    numbers: bool = True,
) -> Html:
    """A table, its first column the rows' names; cells are texts, numbers or `Cell`s.
    It scrolls sideways where it is wider than the page. numbers: whether those stand
    to the right, in columns of their own."""
    above = f"<caption>{escape(caption)}</caption>\n" if caption else ""
    heads = "".join(f'<th scope="col">{_cell(cell)}</th>' for cell in head)
    body = "\n".join(_row(row, numbers) for row in rows)
    return Html(
        f'<div class="wide" tabindex="0"><table>\n{above}'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def text_block(text: str) -> Html:
    """A paragraph."""
    return Html(f"<p>{escape(text)}</p>")


def pre_block(text: str) -> Html:
    """Text whose line breaks matter: samples, commands."""
    return Html(f"<pre>{escape(text)}</pre>")


def subheading(text: str) -> Html:
    """A heading inside a section."""
    return Html(f"<h3>{escape(text)}</h3>")


def escape(text: Any) -> str:
    """As text of the page; what a terminal or a model may have put in of control
    characters becomes visible."""
    shown = re.sub(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", "\ufffd", str(text))
    return html.escape(shown)


def _row(row: Sequence[Any], numbers: bool) -> str:
    first, *rest = row
    cells = "".join(f"<td{_kind(cell, numbers)}>{_cell(cell)}</td>" for cell in rest)
    return f'<tr><th scope="row">{_cell(first)}</th>{cells}</tr>'


def _kind(cell: Any, numbers: bool) -> str:
    value = cell.text if isinstance(cell, Cell) else cell
    number = re.fullmatch(
        r"[-+−]?[\d.,]+([eE][-+]?\d+)?( / \d+)*\s?(%|s|k|M|G)?", str(value)
    )
    names = ["number"] if number and numbers else []
    if isinstance(cell, Cell) and cell.strong:
        names.append("strong")
    return f' class="{" ".join(names)}"' if names else ""


def _cell(cell: Any) -> str:
    if not isinstance(cell, Cell):
        return escape(cell)
    text = escape(cell.text)
    text = f"<strong>{text}</strong>" if cell.strong else text
    return f"{text} <small>({escape(cell.note)})</small>" if cell.note else text


def _inline_svg(figure: Figure) -> tuple[str, str]:
    """(SVG, sentence) of a Figure. The sentence becomes the caption, and goes from the
    picture; the ink becomes the text colour of the page, whatever that is."""
    sentence, shown = reading_of(figure), figure.get_supxlabel()
    file = io.StringIO()
    # Text stays text: it can be searched, read aloud, and is small.
    with matplotlib.rc_context({**STYLE, "svg.fonttype": "none"}):
        figure.supxlabel("")
        try:
            figure.savefig(
                file, format="svg", transparent=True, metadata={"Date": None}
            )
        finally:
            figure.supxlabel(shown)
    text = file.getvalue()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*">', "<g>", text)  # else ids repeat over figures
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r' (xmlns|xmlns:xlink|version)="[^"]*"', "", text)
    text = text.replace("xlink:href", "href")
    label = html.escape(_title_of(figure), quote=True)
    text = text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
    return text.replace(INK, "currentColor"), sentence


def _title_of(figure: Figure) -> str:
    titles = [figure.get_suptitle(), *(axes.get_title() for axes in figure.axes)]
    return ", ".join(" ".join(title.split()) for title in titles if title)
