"""Scored text as lines of a table, of TSV or of JSON."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from data_pipeline.vocabulary import Vocabulary
from experiments.applications.language_model.sentences import Sentence
from experiments.applications.language_model.word_rows import Row, rows_of
from experiments.applications.language_model.words import BOUNDARY, is_split
from experiments.console.printable import json_line, tsv_cell, visible

LOG = {"nats": "ln P", "bits": "log2 P"}
IN_UNITS = ("surprisal", "entropy", "entropy_reduction")


class Shown(NamedTuple):
    """How: see the command's options of these names."""

    vocabulary: Vocabulary
    format: str
    unit: str
    base: str
    top: int
    per_token: bool


def head(how: Shown) -> list[str]:
    """The lines before all others."""
    if how.format == "jsonl":
        return []
    if how.format == "tsv":
        return ["\t".join(_names(how))]
    if how.unit == "sentence":
        return [f"{LOG[how.base]:>10}  {'ppl':>9}  {'tokens':>6}  sentence"]
    note = [f"in {how.base}; {BOUNDARY}"] if is_split(how.vocabulary) else []
    return [*(note if how.unit == "word" else []), _TABLE.format(*_HEAD, "").rstrip()]


def lines_of(sentence: Sentence, how: Shown) -> Iterator[str]:
    """The lines of a sentence."""
    if how.unit == "sentence":
        yield from _sentence_lines(sentence, how)
        return
    for row in rows_of(sentence, how.vocabulary, how.unit, how.base):
        if how.format == "jsonl":
            yield json_line(_record(row, how))
        elif how.format == "tsv":
            yield tsv_line(_cells(row, how))
        else:
            yield visible(_table_line(row))


def _sentence_lines(sentence: Sentence, how: Shown) -> Iterator[str]:
    record = sentence.record(how.per_token, how.base)
    if how.format == "jsonl":
        yield json_line(record)
    elif how.format == "tsv":
        yield tsv_line([_sentence_cell(record, name) for name in SENTENCE])
    else:
        yield visible(_line(sentence, record))
        if how.per_token:
            yield from map(visible, _token_lines(sentence, record["surprisals"]))


SENTENCE = ("line", "log_probability", "perplexity", "tokens", "oov", "text")


def _names(how: Shown) -> Sequence[str]:
    """Of the columns of TSV."""
    if how.unit == "sentence":
        return [n if n != SENTENCE[1] else f"{n}_{how.base}" for n in SENTENCE]
    kept = [name for name in Row._fields if name != "guesses"]
    named = [f"{name}_{how.base}" if name in IN_UNITS else name for name in kept]
    return [
        *named,
        *(f"{x}_{k}" for k in range(1, how.top + 1) for x in ("guess", "p")),
    ]


def _record(row: Row, how: Shown) -> dict[str, Any]:
    found: dict[str, Any] = dict(zip(_names(how), row, strict=False))
    found["guesses"] = [list(guess) for guess in row.guesses]
    return found


def _cells(row: Row, how: Shown) -> list[Any]:
    guesses = [x for guess in row.guesses for x in guess]
    return [*row[:-1], *guesses, *[None] * (2 * how.top - len(guesses))]


def _sentence_cell(record: dict[str, Any], name: str) -> Any:
    return ", ".join(record[name]) if name == "oov" else record.get(name)


def tsv_line(cells: Iterable[Any]) -> str:
    """Cells as a line of TSV, see `tsv_cell`: None is empty, truth 1 or 0."""
    return "\t".join(visible(_cell(cell)) for cell in cells)


def _cell(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(int(cell))
    if isinstance(cell, float):
        return f"{cell:.7g}"
    return tsv_cell(str(cell))


_TABLE = "{:>5}  {:>4}  {:>10}  {:>8}  {:>9}  {:>6}  {:20}  {}"
_HEAD = ("line", "pos", "surprisal", "entropy", "reduction", "rank", "word", "guesses")


def _table_line(row: Row) -> str:
    numbers = [row.surprisal, row.entropy, row.entropy_reduction]
    told = ["" if x is None else f"{x:.4f}" for x in numbers]
    plain = row.word if row.word.strip() == row.word != "" else _quoted(row.word)
    word = f"{plain} [unknown]" if row.unknown else plain
    guesses = ", ".join(f"{_quoted(text)} {p:.3f}" for text, p in row.guesses)
    shown = [row.line or "", row.position, *told, row.rank or "", word, guesses]
    return _TABLE.format(*shown).rstrip()


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _line(sentence: Sentence, record: dict[str, Any]) -> str:
    known = sentence.perplexity
    mean = "-" if known is None else f"{known:.2f}"
    oov = f"  [unknown: {', '.join(sentence.oov)}]" if sentence.oov else ""
    group = "" if sentence.line.group is None else f"{sentence.line.group}: "
    return (
        f"{record['log_probability']:10.4f}  {mean:>9}  {record['tokens']:6}  "
        f"{group}{sentence.text}{oov}"
    )


def _token_lines(sentence: Sentence, surprisals: list[list[Any]]) -> list[str]:
    return [
        f"{'' if units is None else format(-units, '.4f'):>10}  {_quoted(token)}"
        f"{'  out of vocabulary' if unknown else ''}"
        for (token, units), unknown in zip(surprisals, sentence.unknown, strict=True)
    ]


def total_line(total: dict[str, Any], base: str) -> str:
    """What all sentences come to, with and without words out of vocabulary."""
    known = total["excluding_oov"]
    aside = f" (excluding OOVs: {_mean(known, base)})"
    return (
        f"total: {total['sentences']:,} sentences, {_mean(total, base)}"
        f"{aside if total['oov'] and known['tokens'] else ''} with "
        f"{total['unknown_rate']:.1%} unknown, {total['oov']:,} out of vocabulary"
    )


def _mean(means: dict[str, Any], base: str) -> str:
    return (
        f"{means['tokens']:,} tokens, {means[f'{base}_per_token']:.6f} {base} per "
        f"token, perplexity {means['perplexity']:.4f}"
    )
