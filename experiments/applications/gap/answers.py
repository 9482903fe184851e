"""What a network that fills gaps answers: for sentences of the test split, beside an
n-gram model, and for new ones."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from data_pipeline.errors import DataError
from data_pipeline.gaps import gapped
from data_pipeline.tokenizers import tokenizer_named
from data_pipeline.types import TokenArray
from data_pipeline.vocabulary import EOS_ID, UNK_ID, Vocabulary
from experiments.applications.application import Final, Prepared, Restored
from experiments.applications.gap.config import GapConfig
from experiments.applications.gap.model import make_filler
from experiments.applications.gap.ngram import baselines
from experiments.applications.lines import Line, read_lines
from experiments.figures.page import Cell, Html, table_block
from experiments.figures.words import word_strips

GAP, BEST, CHUNK = "___", 5, 16
SHOWN, STRIPS, READ, LONGEST = 6, 8, 200, 24  # examples; strips; sentences; words


def final(config: GapConfig, prepared: Prepared, params: Any) -> Final:
    """The n-gram model's scores, and sentences of the test split with their gaps."""
    return Final(
        baselines=baselines(prepared.source),
        examples=examples(config, prepared, params),
    )


def examples(config: GapConfig, prepared: Prepared, params: Any) -> dict[str, Any]:
    """{"gaps": one in the middle of a sentence each, filled rightly and wrongly;
    "strips": whole sentences with the probability of each word in its own gap}."""
    vocabulary, test = prepared.source.vocabulary, prepared.splits["test"]
    lengths = np.diff(test.starts)
    fitting = np.flatnonzero((lengths > 5) & (lengths <= LONGEST))[:READ]
    if not len(fitting):
        fitting = np.arange(min(len(lengths), READ))
    longest = int(lengths[fitting].max())
    batch = gapped(test, fitting, longest, len(fitting))
    found_TBV = np.asarray(make_filler(config, prepared)(params, batch))
    gaps: dict[bool, list[dict]] = {True: [], False: []}
    strips = []
    for lane, length in enumerate(lengths[fitting]):
        ids = batch.words[1:length, lane]
        words, at = vocabulary.decode(ids), (length - 1) // 2
        found_TV = found_TBV[: length - 1, lane]
        gap = {"words": words, "at": at, "best": best_words(vocabulary, found_TV[at])}
        gap["probability"] = float(found_TV[at, ids[at]])
        gaps[int(found_TV[at].argmax()) == ids[at]].append(gap)
        strips.append([words, found_TV[np.arange(length - 1), ids].tolist()])
    shown = [*gaps[True][:SHOWN], *gaps[False][:SHOWN]]
    return {"gaps": shown, "strips": strips[:STRIPS]}


def best_words(vocabulary: Vocabulary, found_V: np.ndarray) -> list[list[Any]]:
    """[word, probability] of the likeliest."""
    order = np.argsort(-found_V, kind="stable")[:BEST]
    return [[vocabulary.tokens[i], float(found_V[i])] for i in order]


def section(found: dict[str, Any]) -> Iterator[Html | tuple[str, Any]]:
    """A table of gaps, and the sentences as strips."""
    yield table_block(
        ["sentence", "the word", "its probability", "likeliest"],
        [_row(gap) for gap in found["gaps"]],
        "A word left out of test sentences: filled rightly above, wrongly below.",
    )
    yield "gaps", word_strips(found["strips"])


def _row(gap: dict[str, Any]) -> Sequence[Any]:
    at, words = gap["at"], gap["words"]
    shown = " ".join([*words[:at], GAP, *words[at + 1 :]])
    right = gap["best"][0][0] == words[at]
    best = ", ".join(f"{word} {p:.2f}" for word, p in gap["best"][:3])
    return shown, Cell(words[at], strong=right), f"{gap['probability']:.3f}", best


def predict(restored: Restored, path: str) -> Iterator[dict[str, Any]]:
    """The likeliest words for the gap, written `___`, in each line of a file.

    Raises:
      DataError: for a line without a gap, with several, or longer than any batch.
    """
    config, prepared, _, params, _ = restored
    vocabulary = prepared.source.vocabulary
    fill = make_filler(config, prepared)
    for line in read_lines(path, option="--input"):
        ids, at = parsed(vocabulary, line, config.data.max_length)
        sentence = TokenArray(ids, np.array([0, len(ids)]))
        length = -(-len(ids) // CHUNK) * CHUNK
        batch = gapped(sentence, np.array([0]), length, 1)
        best = best_words(vocabulary, np.asarray(fill(params, batch)[at, 0]))
        (word, probability), *_ = best
        yield {
            "text": line.text,
            "answer": word,
            "probability": probability,
            "words": [{"word": w, "probability": p} for w, p in best],
        }


def parsed(vocabulary: Vocabulary, line: Line, longest: int) -> tuple[np.ndarray, int]:
    """A line as ids (N,) that end with `<eos>`, and where its gap is; there the id is
    that of `<unk>`, which nothing reads."""
    text = line.text.lower() if vocabulary.lower else line.text
    sides = text.split(GAP)
    if len(sides) != 2:
        raise DataError(
            f"{line.place} has {len(sides) - 1} gaps: write {GAP} for "
            f"the one word that is missing, as in 'the dog {GAP} .'"
        )
    split = tokenizer_named(vocabulary.tokenizer, vocabulary.model).split
    left, right = (list(vocabulary.encode(split(side))) for side in sides)
    ids = np.array([*left, UNK_ID, *right, EOS_ID], np.int32)
    if len(ids) > longest:
        raise DataError(
            f"{line.place} has {len(ids)} tokens, and the longest batch "
            f"of this run {longest} (data.max_length): shorten the line"
        )
    return ids, len(left)
