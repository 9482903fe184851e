"""Minimal pairs, judged by a run's model and by an n-gram model of its text."""

import sys
from typing import Any, NamedTuple

import numpy as np

from data_pipeline.agreement import agreement_pairs
from data_pipeline.minimal_pairs import MinimalPair, read_pairs
from experiments import ngram
from experiments.applications.language_model import contrasts, contrasts_shown
from experiments.applications.language_model.passes import reader_of
from experiments.applications.language_model.trained import Trained
from experiments.console.printable import json_line
from experiments.score.options import Score
from experiments.score.remarks import progress
from experiments.train.trained import split_of_run
from lm.score import make_score_step

MADE = "grammar"


class Judged(NamedTuple):
    """Pairs, how the model reads them, its ln P (N, 2), and verdicts: the model's is
    "", beside it that of an n-gram model by its name."""

    pairs: list[MinimalPair]
    cut: contrasts.Cut
    logs: np.ndarray
    verdicts: dict[str, contrasts.Verdict]


def judge(options: Score, trained: Trained) -> Judged:
    """The pairs that the options name, judged."""
    made = options.pairs == MADE
    pairs = (
        agreement_pairs()
        if made
        else read_pairs(options.pairs, options.errors or "strict")
    )
    # A wrong name, and a text that is not there, are told before the work.
    contrasts.columns_of(pairs, options.by)
    train = split_of_run(options.run, trained, "train") if options.ngram else None
    cut = contrasts.cut_pairs(trained, pairs, options.skip_end)
    with progress(sum(len(piece.ids) for piece in cut.pieces)) as watch:
        read = reader_of(trained, make_score_step, alone=True, watch=watch)
        logs = contrasts.log_probabilities(cut, read)
    verdicts = {"": contrasts.verdict(cut, logs)}
    if train is not None:
        fitted = ngram.fit(train, trained.vocabulary.size, options.ngram)
        theirs = contrasts.log_probabilities(
            cut, lambda tokens: -np.log(ngram.probabilities(fitted, tokens))
        )
        verdicts[f"{options.ngram}-gram"] = contrasts.verdict(cut, theirs)
    return Judged(pairs, cut, logs, verdicts)


def accuracies_of(options: Score, trained: Trained) -> list[dict[str, Any]]:
    """Accuracies by group, see `contrasts.accuracies`."""
    return accuracies(options, judge(options, trained))


def accuracies(options: Score, judged: Judged) -> list[dict[str, Any]]:
    """The same of pairs that were judged."""
    pairs, cut, _, verdicts = judged
    columns = contrasts.columns_of(pairs, options.by)
    return list(contrasts.accuracies(pairs, cut, verdicts, columns))


def show(options: Score, trained: Trained) -> None:
    """Prints accuracies by group; or a line a pair, and accuracies aside."""
    judged = judge(options, trained)
    pairs, cut, logs, verdicts = judged
    rows = accuracies(options, judged)
    lines = list(contrasts_shown.table(rows, list(verdicts)[1:]))
    if options.written == "table":
        print(*lines, sep="\n")
        return
    for line in contrasts_shown.pair_lines(
        pairs, cut, logs, verdicts, options.written, options.base
    ):
        print(line)
    summary = json_line({"total": {"rows": rows}})
    told = [summary] if options.written == "jsonl" else lines
    print(*told, sep="\n", file=sys.stderr)
