"""n-best lists: the best hypothesis of each group, alone or with an acoustic score."""

import sys
from typing import Any

import numpy as np

from data_pipeline.errors import DataError
from experiments.applications.language_model import rescoring
from experiments.applications.language_model.scoring import Asked, score_stream
from experiments.applications.language_model.sentences import Sentence
from experiments.applications.language_model.totals import best_of_groups, total_of
from experiments.applications.language_model.trained import Trained
from experiments.applications.lines import each_line, grouped
from experiments.score.options import Score
from experiments.score.remarks import progress
from experiments.score.text import lines_asked, printed, show_total, shown


def show(options: Score, trained: Trained) -> None:
    """Prints the best of each group, and what all lines come to."""
    told: dict[str, Any] = {}
    first, end = options.skip_first, options.skip_end
    with progress() as watch:
        asked = Asked(skip_first=first, skip_end=end, watch=watch)
        if options.weighted:
            best, sentences, told = weighted(options, trained, asked)
        else:
            lines = grouped(lines_asked(options, trained))
            sentences = list(score_stream(trained, lines, alone=True, asked=asked))
            best = best_of_groups(sentences)
    list(printed(best, shown(options, trained)))
    total = total_of(sentences)
    if options.written == "jsonl":
        show_total(options, total | told)
        return
    show_total(options, total)
    for line in errors_told(told):
        print(line, file=sys.stdout if options.written == "table" else sys.stderr)


def weighted(
    options: Score, trained: Trained, asked: Asked
) -> tuple[list[Sentence], list[Sentence], dict[str, Any]]:
    """(the best of each group, all hypotheses, weights and errors by name)."""
    errors = options.errors or trained.config.data.errors

    def read(path: str, option: str, references: str, refers: str):
        found = list(rescoring.hypotheses(each_line(path, "", errors, option)))
        if not found:
            raise DataError(f"{option}: {path!r} has no hypothesis")
        order, groups = rescoring.group_order(found)
        found = [found[at] for at in order.tolist()]
        said: list[list[str]] = []
        if references:
            lines = each_line(references, "", errors, refers)
            said = rescoring.references(lines, groups, f"{refers} {references}")
        texts = (one.line for one in found)
        sentences = list(score_stream(trained, texts, alone=True, asked=asked))
        logs = np.array([-sentence.total for sentence in sentences])
        return sentences, rescoring.lists_of(found, logs, said)

    weights, told = rescoring.Weights(*options.weights or (0, 0)), {}
    if options.dev:
        given = options.dev, "--dev", options.dev_references, "--dev-references"
        _, dev = read(*given)
        weights = rescoring.choose_weights(dev)
        told["dev"] = rates(dev, weights)
    path = options.text or "-"
    sentences, lists = read(path, "--text", options.references, "--references")
    told = {"weights": weights._asdict()} | told
    if options.references:
        told |= rates(lists, weights)
    rows = rescoring.chosen(lists, weights).tolist()
    return [sentences[row] for row in rows], sentences, told


def rates(lists: rescoring.Lists, weights: rescoring.Weights) -> dict[str, Any]:
    """Errors a word of what was said: of the choice, by the acoustic score alone, and
    the fewest that there can be."""
    found = {
        "word_error_rate": rescoring.errors_of(lists, weights),
        "acoustic_alone": rescoring.errors_of(lists, rescoring.ALONE),
        "oracle": rescoring.oracle(lists),
    }
    return {name: n / max(1, lists.spoken) for name, n in found.items()} | {
        "words": lists.spoken
    }


def errors_told(told: dict[str, Any]) -> list[str]:
    """The same in words."""
    if not told:
        return []
    weights = told["weights"]
    lines = [
        f"acoustic score + {weights['language']:.4g} ln P + {weights['word']:.4g} words"
    ]
    for where, found in (("development", told.get("dev")), ("text", told)):
        if found and "oracle" in found:
            lines.append(
                f"{where}: word error rate {found['word_error_rate']:.2%} of "
                f"{found['words']:,} words; {found['acoustic_alone']:.2%} by the "
                f"acoustic score alone, {found['oracle']:.2%} at best"
            )
    return lines
