"""The tutorial: every chapter runs in its small form, teaches in short cells, and
becomes a page that needs nothing from elsewhere."""

import re
from xml.etree import ElementTree

import jupytext
import pytest

from experiments.readme.tables import retold
from experiments.tutorial import CHAPTERS, shown
from experiments.tutorial.__main__ import main
from experiments.tutorial.rendering import rendered
from experiments.tutorial.running import FOLDER, Chapter, Piece, run_chapter
from experiments.tutorial.shown import Claim, Claims, Grid, show

LONGEST_CELL, EXERCISES = 25, 3


@pytest.fixture(scope="module")
def ran() -> dict[str, Chapter]:
    """Chapters that were run, by name."""
    return {}


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_runs_in_its_small_form(name, ran):
    ran[name] = chapter = run_chapter(name, small=True)
    assert chapter.title == f"{CHAPTERS.index(name) + 1}. {chapter.title[3:]}"
    assert len(chapter.claims) >= 3
    assert any(not isinstance(t, str) for p in chapter.pieces for t in p.things)


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_is_a_lesson(name):
    """Short cells, formulas, exercises with solutions, claims at the end."""
    cells = jupytext.read(FOLDER / f"{name}.py").cells
    for cell in cells:
        lines = cell.source.splitlines()
        assert cell.cell_type == "markdown" or len(lines) <= LONGEST_CELL, lines[:3]
    heads = [c.source.splitlines()[0] for c in cells if c.cell_type == "markdown"]
    assert sum(head.startswith("## Exercise") for head in heads) == EXERCISES
    assert heads[-1] == "## What the original says, what we measured"
    asked = None
    for cell in cells:
        if cell.source.startswith("## Exercise"):
            assert asked is None, f"no solution to {asked}"
            asked = cell.source.splitlines()[0]
        if "solution" in cell.metadata.get("tags", []):
            asked = None
    assert asked is None, f"no solution to {asked}"
    assert sum(cell.source.count("$$") for cell in cells) >= 4


def test_the_page_holds_everything(ran):
    """Formulas are MathML that parses, and nothing is fetched."""
    if not ran:
        pytest.skip("needs the chapters that the tests before it ran")
    page = rendered(list(ran.values()))
    formulas = re.findall(r"<math.*?</math>", page, re.DOTALL)
    assert formulas
    for one in formulas:
        ElementTree.fromstring(one)
    addresses = re.findall(r'(?:src|href)="([^"#][^"]*)"', page)
    assert not [a for a in addresses if not a.startswith(("data:", "https://"))]
    assert not re.search(r'<(script|link|img)[^>]*(src|href)="http', page)
    assert "$$" not in re.sub(r"<pre.*?</pre>", "", page, flags=re.DOTALL)
    named = re.findall(r' id="([^"]*)"', re.sub(r"<svg.*?</svg>", "", page, flags=re.S))
    assert len(named) == len(set(named))
    assert set(re.findall(r'<a href="#([^"]*)"', page)) <= set(named)


def test_numbers_hold_where_all_digits_are_the_same():
    claims = Claims()
    claims.number("a", "0.432387", 0.43238651)
    claims.number("b", "0.432387", 0.4323880)
    claims.add("c", "grows", "grew", 2 > 1)
    claims.add("d", "was not asked", "1")
    assert [claim.holds for claim in claims] == [True, False, True, None]
    assert claims[0] == Claim("a", "0.432387", "0.432387", True)
    assert "0.432388" in str(claims.table()) and "yes" in claims.table()._repr_html_()


def test_what_is_shown_is_printed_where_there_is_no_page(capsys):
    show(Grid(("a", "b"), [(1, 2)]))
    assert capsys.readouterr().out.split() == ["a", "b", "─", "─", "1", "2"]


def test_solutions_are_folded_and_bookkeeping_is_left_out():
    pieces = [
        Piece("# 1. A\n\nB $x$.", False, (), []),
        Piece("## Exercise 1: C & D", False, (), []),
        Piece("a = 1", True, ("solution",), ["shown\n"]),
        Piece("claims.add()", True, ("claim",), [Grid(("x",), [("<y>",)])]),
    ]
    page = rendered([Chapter("one", "1. A", pieces, [], 60.0)])
    folded = page.partition("<details>")[2].partition("</details>")[0]
    assert "shown" in folded and "claims.add" not in page and "&lt;y&gt;" in page
    assert 'href="#one-exercise-1-c-d"' in page and "1.0 minutes" in page


@pytest.mark.parametrize(
    "words, said",
    [
        (["7"], "the number of a chapter is 7"),
        (["1", "2", "--record"], "--record is of all chapters in full, or of one"),
        (["4", "--weights", "none.npz"], "none.npz is not there"),
        (["1", "--weights", "none.npz"], "--weights are for chapter 4"),
    ],
)
def test_a_mistake_is_one_line(words, said, capsys):
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2
    assert said in capsys.readouterr().err


def test_a_chapter_recorded_alone_is_told_with_its_machine(monkeypatch):
    claims = [["faster", "on a GPU", "7.5 ms", "0.06 ms", "yes"]]
    hardware = {"cores": 2, "devices": ["NVIDIA H100"]}
    row = {"command": "it", "seconds": 40, "hardware": hardware}
    rows = {"tutorial_2": row | {"metrics": {"claims": claims}}}
    monkeypatch.setattr(shown, "rows", lambda: rows)
    assert shown.elsewhere(2, "on a GPU") == "; NVIDIA H100: 0.06 ms"
    assert shown.elsewhere(3, "on a GPU") == ""
    told = retold({"tutorial": rows["tutorial_2"], **rows})
    assert told.count("| 0.06 ms | yes |") == 2
    assert told.endswith("Measured by `it`, 40 s on NVIDIA H100.\n")
