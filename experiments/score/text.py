"""A text, scored line by line and printed as it comes."""

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from experiments.applications.language_model import scoring
from experiments.applications.language_model.sentences import Sentence
from experiments.applications.language_model.shown import (
    Shown,
    head,
    lines_of,
    total_line,
)
from experiments.applications.language_model.totals import Sums, total_of_sums
from experiments.applications.language_model.trained import Trained
from experiments.applications.language_model.word_rows import states_of
from experiments.applications.lines import Line, each_line
from experiments.console.printable import json_line
from experiments.run.files import check_place, write_npz_atomic
from experiments.score.options import Score
from experiments.score.remarks import progress, warning
from experiments.train.trained import split_of_run


def show(options: Score, trained: Trained) -> None:
    """Prints lines as they are scored and, after them, the total."""
    if options.states:
        check_place(options.states)
    sums, kept = Sums(), []
    seen = sys.stdout.isatty()  # the lines themselves show how far it is
    with progress(quiet=seen) as watch:
        sentences = score(options, trained, watch)
        for sentence in printed(sentences, shown(options, trained)):
            sums = sums.plus(sentence)
            if options.states:
                kept.append(sentence)
    if options.states:
        write_npz_atomic(options.states, states_of(kept))
    show_total(options, total_of_sums(sums))


def shown(options: Score, trained: Trained) -> Shown:
    """How the options have lines printed."""
    return Shown(
        trained.vocabulary,
        options.written,
        options.unit,
        options.base,
        options.top,
        options.per_token,
    )


def score(
    options: Score, trained: Trained, watch: Callable[[int], None]
) -> Iterable[Sentence]:
    """The sentences that the options name, scored."""
    asked = scoring.Asked(
        details=options.unit != "sentence",
        top=options.top,
        states=bool(options.states),
        skip_first=options.skip_first,
        skip_end=options.skip_end,
        watch=watch,
    )
    if options.split:
        split = split_of_run(options.run, trained, options.split)
        return scoring.score_split(trained, split, options.independent, asked)
    lines = lines_asked(options, trained)
    if options.conditional:
        return scoring.score_continuations(trained, lines, asked)
    return scoring.score_stream(trained, lines, options.alone, asked)


def lines_asked(options: Score, trained: Trained) -> Iterator[Line]:
    """The lines of --text, as training's were read unless the options say else."""
    data = trained.config.data
    return each_line(
        options.text or "-",
        options.column or data.column,
        options.errors or data.errors,
    )


def printed(sentences: Iterable[Sentence], how: Shown) -> Iterator[Sentence]:
    """The same, each when its lines are printed, below what stands at the top, which
    waits for the first."""
    for number, sentence in enumerate(sentences):
        for line in [*([] if number else head(how)), *lines_of(sentence, how)]:
            print(line)
        yield sentence


def show_total(options: Score, total: dict[str, Any]) -> None:
    """Of all sentences, where the format has its place for it."""
    said = warning(total["unknown_rate"])
    if options.written == "jsonl":
        total |= {"warning": said} if said else {}
        print(json_line({"total": total}), file=sys.stderr)
        return
    table = options.written == "table"
    print(total_line(total, options.base), file=sys.stdout if table else sys.stderr)
    if said:
        print(f"warning: {said}", file=sys.stderr)
