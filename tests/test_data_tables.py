"""Rows neither vanish nor merge: tables as the world writes them."""

import csv
import io
import json
from pathlib import Path

import pytest

from data_pipeline import corpora
from data_pipeline.config import DataConfig
from data_pipeline.corpora.rows import Rows
from data_pipeline.errors import DataError
from tests.corpora import lay_out, texts_of

SENTENCES = [f"row {i} of the table" for i in range(40)]


def rows_of(tmp_path, name, text, **settings):
    """(rows as read, in the table's order where it can be told; notes)."""
    corpus = lay_out(tmp_path, {name: text}) + f"/{name}"
    settings = {"fractions": (0.4, 0.3, 0.3), **settings}
    texts = texts_of(corpus, **settings)
    lines = [line for part in texts.values() for line in part.split("\n")[:-1]]
    notes = corpora.load(DataConfig(corpus=corpus, **settings)).facts["notes"]
    return sorted(lines), "\n".join(notes)


def written(rows, names=("id", "text", "price"), **dialect):
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n", **dialect)
    writer.writerow(names)
    writer.writerows((i, row, "3,5") for i, row in enumerate(rows))
    return out.getvalue()


TRICKY = [
    *SENTENCES,
    'she said "so", loudly; twice',
    'a\nquoted, new line; and\t"marks"',
    "1,5 Euro; 2,5 Euro",
    "line\u2028separator \x85 and \x0c feed",
]
AS_ONE_LINE = sorted(row.replace("\n", " ") for row in TRICKY)


@pytest.mark.parametrize("ending", ["csv", "tsv"])
@pytest.mark.parametrize(
    "delimiter", [",", ";", "\t", "|"], ids="comma semi tab bar".split()
)
def test_every_delimiter_gives_the_same_rows(tmp_path, ending, delimiter):
    """By country: d61f4e4 knew the comma and the tab alone."""
    text = written(TRICKY, delimiter=delimiter)
    rows, notes = rows_of(tmp_path, f"a.{ending}", text)
    assert rows == AS_ONE_LINE
    assert "column 'text'" in notes and f"{len(TRICKY)} rows read" in notes


def test_bom_windows_line_ends_and_sep_lines_change_nothing(tmp_path):
    text = "sep=;\r\n" + written(SENTENCES, delimiter=";").replace("\n", "\r\n")
    rows, notes = rows_of(tmp_path, "a.csv", b"\xef\xbb\xbf" + text.encode())
    assert rows == sorted(SENTENCES)
    assert "42 line ends of CR LF" in notes and "1 byte-order marks" in notes
    mac = written(SENTENCES).replace("\n", "\r")
    assert rows_of(tmp_path, "mac.csv", mac)[0] == sorted(SENTENCES)


LETTERS = [
    '"Open and never closed',
    'said "hm',
    '"Ha!" he said',
    '"',
    'in "the" middle',
]


@pytest.mark.parametrize("ending", ["tsv", "csv"])
def test_quotation_marks_that_are_letters_swallow_no_rows(tmp_path, ending):
    """d61f4e4 refused these, or made one row of all between two marks."""
    tab = "\t" if ending == "tsv" else ";"
    for marked in (LETTERS, ['"Hello', *SENTENCES[:3], 'world"'], ['"a', 'b"'] * 2):
        rows = [*SENTENCES, *marked, "the end"]
        text = f"id{tab}text\n" + "".join(f"{i}{tab}{r}\n" for i, r in enumerate(rows))
        read, notes = rows_of(tmp_path, f"a.{ending}", text)
        assert read == sorted(rows)
        assert "quotation marks read as letters" in notes


def test_marks_behind_backslashes(tmp_path):
    said = "".join(f'{i},"so \\"{i}\\", \\"x\\""\n' for i in range(30))
    text = f"id,text\n{said}"
    rows, _ = rows_of(tmp_path, "a.csv", text)
    assert rows == sorted(f'so "{i}", "x"' for i in range(30))


def test_rows_that_are_no_rows_are_left_out_and_counted(tmp_path):
    """A short row, an empty one, the header again: the same in CSV and in JSON."""
    head = "id,text,n\n"
    body = "".join(f"{i},{row},1\n" for i, row in enumerate(SENTENCES))
    odd = "7\n8,,1\n9,   ,1\n" + head + "\n10,x,y,z\n11,trailing,1,,\n"
    rows, notes = rows_of(tmp_path, "a.csv", head + body + odd)
    assert rows == sorted([*SENTENCES, "trailing"])
    for told in ("1 rows left out: too short", "2 rows left out: empty"):
        assert told in notes
    assert "1 rows left out: more cells than columns" in notes
    assert "1 rows left out: the names of the columns again" in notes
    objects = [{"text": row} for row in SENTENCES]
    objects += [{"text": None}, {"id": 1}, {"text": " "}]
    lines = "\n".join(map(json.dumps, objects)) + "\n\n"
    rows, notes = rows_of(tmp_path, "a.jsonl", lines)
    assert rows == sorted(SENTENCES)
    for told in ("null in place of text", "without the field", "rows left out: empty"):
        assert f"1 rows left out: {told}" in notes or f"1 {told}" in notes


def test_delimiters_inside_the_last_column_stay_in_the_text(tmp_path):
    text = "id,text\n" + "".join(f"{i},first, then {i}, end\n" for i in range(30))
    rows, notes = rows_of(tmp_path, "a.csv", text)
    assert rows == sorted(f"first, then {i}, end" for i in range(30))
    assert "30 rows with delimiters in the last column" in notes


def test_a_table_without_names_loses_no_row(tmp_path):
    text = "This is the first sentence.\n" + "\n".join(SENTENCES) + "\n"
    with pytest.raises(DataError, match="first row reads like text"):
        rows_of(tmp_path, "a.csv", text)
    with pytest.raises(DataError, match="2 columns 'text'"):
        rows_of(tmp_path, "b.csv", "text,text\na,b\n")


def test_json_that_is_not_lines(tmp_path):
    """An array of objects is read, over many lines or in one; other JSON is refused."""
    objects = [{"id": i, "text": row} for i, row in enumerate(SENTENCES)]
    lines = "\n".join(map(json.dumps, objects))
    for text in (
        json.dumps(objects, indent=1),
        json.dumps(objects),
        lines,
        f"\ufeff{lines}",
    ):
        for name in ("a.json", "a.jsonl"):
            assert rows_of(tmp_path, name, text)[0] == sorted(SENTENCES)
    both = f"{lines}\n\ufeff{lines}\n"  # cat a.jsonl b.jsonl
    assert rows_of(tmp_path, "a.jsonl", both)[0] == sorted(SENTENCES * 2)
    for text, says in (
        (json.dumps({"data": objects}), "'data' is not text"),
        (json.dumps({"data": objects}, indent=1), "give an array of objects"),
        ("[" * 20_000, "not JSON"),
        ('[{"text": "a"}, 3]', "row 2: not a JSON object"),
        ('{"text": 1' + "0" * 5000 + "}", "not JSON"),
    ):
        with pytest.raises(DataError, match=says) as error:
            rows_of(tmp_path, "a.json", text)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("escape", ["\\ud83d", "\\udc00", "\\u0000"])
def test_what_no_text_can_hold(tmp_path, escape):
    """Half a pair, NUL: told with the line, or replaced and counted; no row splits."""
    lines = [json.dumps({"text": row}) for row in SENTENCES]
    lines.insert(5, f'{{"text": "cut {escape} off"}}')
    text = "\n".join(lines) + "\n"
    with pytest.raises(DataError, match="a.jsonl, line 6: .*--data.errors replace"):
        rows_of(tmp_path, "a.jsonl", text)
    rows, notes = rows_of(tmp_path, "a.jsonl", text, errors="replace")
    assert rows == sorted([*SENTENCES, "cut \ufffd off"])
    assert "replaced by U+FFFD" in notes and "1 " in notes


def test_line_ends_inside_json_strings_are_blanks(tmp_path):
    odd = ["a\r\nb", "c\rd", "e\nf", "g\u2028h", "i\x85j"]
    lines = [json.dumps({"text": row}) for row in [*SENTENCES, *odd]]
    rows, _ = rows_of(tmp_path, "a.jsonl", "\n".join(lines))
    assert rows == sorted([*SENTENCES, "a b", "c d", "e f", "g\u2028h", "i\x85j"])


def test_too_few_rows_to_deal_out_are_refused_with_counts(tmp_path):
    with pytest.raises(DataError, match="has 2 rows with text, too few to deal"):
        rows_of(tmp_path, "a.csv", "text\nb\nc\n", fractions=(0.9, 0.05, 0.05))


def test_every_row_keeps_its_number(tmp_path):
    """So that a score stands beside its own row, whatever rows have no text."""
    table = lay_out(tmp_path, {"a.csv": "id,text\n1,one\n2\n3,\n4,four\n"}) + "/a.csv"
    assert list(Rows(Path(table), "").each()) == ["one", None, "", "four"]
    lines = '{"text": "one"}\n{"text": null}\n{}\n{"text": "four"}\n'
    table = lay_out(tmp_path, {"a.jsonl": lines}) + "/a.jsonl"
    assert list(Rows(Path(table), "").each()) == ["one", None, None, "four"]
