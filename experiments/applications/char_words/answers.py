"""What a language model that spells answers: the neighbours of words that it never
saw, beside an n-gram model's scores; and the score of new lines."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from data_pipeline.spelling import unseen
from data_pipeline.types import Dataset
from data_pipeline.vocabulary import EOS_ID, UNK_ID
from experiments.applications.application import Final, Prepared, Restored
from experiments.applications.char_words.config import CharWordsConfig
from experiments.applications.char_words.model import Source, model_of, word_vectors
from experiments.applications.language_model.pieces import Piece, pieces_of_lines
from experiments.applications.language_model.reading import Setting
from experiments.applications.language_model.sentences import Sentence
from experiments.applications.lines import read_lines
from experiments.figures.page import Html, table_block, text_block
from experiments.figures.words import word_map
from experiments.ngram import fit, probabilities
from lm.losses import perplexity, token_nats
from lm.types import Spelled

SETTING = Setting(True, EOS_ID, EOS_ID)
ORDER, NEAR, SHOWN, DRAWN, FREQUENT, CHUNK = 4, 5, 12, 40, 1_000, 32


def final(config: CharWordsConfig, prepared: Prepared, params: Any) -> Final:
    """An n-gram model's scores, and the neighbours of unseen words."""
    return Final(
        baselines={f"{ORDER}-gram": ngram_scores(prepared.source.dataset)},
        examples=examples(config, prepared, params),
    )


def ngram_scores(dataset: Dataset) -> dict[str, dict[str, float]]:
    """{split: {"loss", "after_unknown"}} of a Kneser–Ney model of the vocabulary, which
    reads `<unk>` as one word."""
    fitted = fit(dataset.splits["train"], dataset.vocabulary.size, ORDER)
    found = {}
    for split in ("valid", "test"):
        tokens = dataset.splits[split]
        nats = -np.log(probabilities(fitted, tokens))
        after = np.append(False, tokens.ids[:-1] == UNK_ID)
        found[split] = {"loss": float(nats.mean())}
        if after.any():
            found[split]["after_unknown"] = float(nats[after].mean())
    return found


def examples(
    config: CharWordsConfig, prepared: Prepared, params: Any
) -> dict[str, Any] | None:
    """{"near": [word outside the vocabulary, [[frequent word, cosine], …]] of words of
    the test split, "map": {word: [x, y]} of these and those, by the two largest
    principal components}; None where words have a table."""
    source: Source = prepared.source
    if config.words == "embedding" or source.types is None:
        return None
    vocabulary, types = source.dataset.vocabulary, source.types
    there = [types.words[i] for i in np.unique(types.places["test"])]
    outside = [word for word in unseen(there, vocabulary) if len(word) > 3][:DRAWN]
    frequent = [w for w in vocabulary.tokens[2:FREQUENT] if len(w) > 3]
    if not outside or len(frequent) < 3:
        return None
    vectors = word_vectors(config, prepared, params, [*outside, *frequent])
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    mine, theirs = unit[: len(outside)], unit[len(outside) :]
    cosines = mine @ theirs.T
    near = [
        [word, [[frequent[i], float(row[i])] for i in np.argsort(-row)[:NEAR]]]
        for word, row in zip(outside, cosines, strict=True)
    ]
    centred = unit - unit.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    places = (centred @ axes[:2].T).round(4).tolist()
    shown = dict(zip([*outside, *frequent[:DRAWN]], places, strict=False))
    shown |= dict(zip(frequent[:DRAWN], places[len(outside) :], strict=False))
    return {"near": near[:SHOWN], "map": shown, "outside": outside}


def section(found: dict[str, Any]) -> Iterator[Html | tuple[str, Any]]:
    """Neighbours as a table, and a map."""
    yield text_block(
        "Words of the test split that the vocabulary lacks, and the frequent words "
        "whose vectors, made of their characters, lie nearest (cosine)."
    )
    rows = [
        [word, *[f"{near} {cosine:.2f}" for near, cosine in neighbours]]
        for word, neighbours in found["near"]
    ]
    yield table_block(["word", *["near"] * NEAR], rows, numbers=False)
    yield "words", word_map(found["map"], set(found["outside"]))


def predict(restored: Restored, path: str) -> Iterator[dict[str, Any]]:
    """The score of each line of a file, each from the initial state, see
    `Sentence.record`; "after_unknown" is the perplexity of the tokens that follow
    unknown words, where there are any."""
    config, prepared, _, params, _ = restored
    vocabulary = prepared.source.dataset.vocabulary
    lines = read_lines(path, config.data.column, config.data.errors, "--input")
    score = make_scorer(config, prepared)
    for piece in pieces_of_lines(vocabulary, SETTING, lines, alone=True):
        sentence = Sentence(*piece[:3], score(params, piece))
        record = sentence.record(per_token=False)
        after = sentence.nats[1:][sentence.unknown[:-1]]
        if len(after):
            record["after_unknown"] = perplexity(float(after.mean()))
        yield record


def make_scorer(config: CharWordsConfig, prepared: Prepared) -> Any:
    """(params, piece) -> nats (N,) of its tokens."""
    model, source = model_of(config, prepared), prepared.source

    @jax.jit
    def nats(params: Any, carry: Any, batch: Spelled):
        carry, logits_TBV = model.outputs(params, carry, batch)
        return carry, token_nats(logits_TBV, batch.targets)

    def score(params: Any, piece: Piece) -> np.ndarray:
        count = len(piece.ids)
        words = ["<eos>", *piece.tokens][:count]
        padding = (0, -count % CHUNK)
        targets = np.pad(piece.ids.astype(np.int32), padding)
        inputs = np.append(np.int32(EOS_ID), targets)[: len(targets)]
        signs = source.alphabet.spell(words, config.spelling.longest)
        signs = np.pad(signs, (padding, (0, 0)))
        carry, found = model.model.initial_state(params, 1), []
        for i in range(0, len(targets), CHUNK):
            at = slice(i, i + CHUNK)
            batch = Spelled(
                inputs[at, None],
                signs[at, None],
                targets[at, None],
                np.ones((CHUNK, 1), np.float32),
                np.array([i == 0]),
            )
            carry, part = nats(params, carry, jax.tree.map(jnp.asarray, batch))
            found.append(np.asarray(part)[:, 0])
        return np.concatenate(found)[:count] if found else np.zeros(0)

    return score
