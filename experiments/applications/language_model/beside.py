"""What stands beside a trained model: its neural cache, and the n-gram of its text.

A network, a cache of the words that it has read (Grave et al. 2017) and an n-gram err
at different tokens, so that p = Σ w p_k, with the w that EM finds on the validation
split, is better than each. The cache has one number more, its sharpness θ, chosen on
that split too. The parameters stay as they were trained. With θ = 0 it counts the words
of late, whatever the state: that cache (Kuhn & De Mori 1990) the n-gram gets as well.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from data_pipeline.types import Dataset, TokenArray
from experiments import ngram
from experiments.applications.application import Final
from experiments.applications.language_model.scoring import score_tokens
from experiments.applications.language_model.segment_passes import Pass, Reader
from experiments.applications.language_model.segments import beginning
from experiments.applications.language_model.trained import Trained
from lm.adaptive import SHARPNESS
from lm.adaptive.mixture import em_weights, mixed
from lm.losses import perplexity

ByName = Mapping[str, np.ndarray]
VALID, TEST = "valid", "test"
# A long stream is read in lanes of so many caches each, at most 4; by so many tokens.
CACHES, LANES, SEGMENT = 10, 4, 50
TUNED = 50_000  # tokens of valid at most by which θ is chosen


def beside(trained: Trained, dataset: Dataset, order: int, cache: int) -> Final:
    """Of valid and test: nats per token and perplexity of an interpolated Kneser–Ney
    n-gram of train, alone and with a cache, among the baselines; among the scores the
    perplexities of the network with its cache ("cached_perplexity") and of network,
    cache and n-gram ("mixed_perplexity"). Chosen: θ, the cache's share, and the
    n-gram's among all.

    order  of the n-gram; 0: none.
    cache  tokens in the cache; 0: none.
    """
    scores: dict[str, dict[str, float]] = {VALID: {}, TEST: {}}
    baselines, chosen = {}, {}

    def score(name: str, nats: ByName) -> None:
        for split, nats_N in nats.items():
            scores[split][name] = perplexity(float(np.mean(nats_N)))

    if cache:
        θ, read = cached(trained, dataset, cache)
        parts = [{s: one.model[1.0] for s, one in read.items()}]
        parts.append({s: one.cache[θ] for s, one in read.items()})
        together, share = mixture(parts)
        score("cached_perplexity", together)
        chosen |= {"cache_θ": θ, "cache_share": share}
    else:
        read = {}
        parts = [{s: score_tokens(trained, dataset.splits[s]) for s in (VALID, TEST)}]
    if order:
        theirs = ngram.nats(dataset.splits, dataset.vocabulary.size, order)
        name = f"Kneser-Ney {order}-gram"
        baselines[name] = ngram.summed_up(theirs)
        if read:
            counts = {s: one.cache[0.0] for s, one in read.items()}
            late, _ = mixture([theirs, counts])
            baselines[f"{name} + cache"] = ngram.summed_up(late)
        together, chosen["ngram_share"] = mixture([*parts, theirs])
        score("mixed_perplexity", together)
    return Final(scores, baselines, chosen=chosen)


def mixture(parts: Sequence[ByName]) -> tuple[dict[str, np.ndarray], float]:
    """nats (N,) of a mixture, its weights found on valid, and the last one's share."""
    weights_K = em_weights(np.stack([one[VALID] for one in parts])).weights_K
    nats = {s: mixed(np.stack([one[s] for one in parts]), weights_K) for s in parts[0]}
    return nats, float(weights_K[-1])


def cached(
    trained: Trained, dataset: Dataset, size: int
) -> tuple[float, dict[str, Pass]]:
    """The θ whose cache makes the best mixture with the network at the beginning of
    valid, and what network and cache give in valid and test, by this θ and by 0."""
    reader = Reader(trained, lambda words: None)

    def read(tokens: TokenArray, θs: tuple[float, ...]) -> Pass:
        lanes = lanes_of(tokens, size, trained.config.data.reading)
        segments = reader.segments(tokens, lanes, SEGMENT)
        return reader.fixed(segments, (1.0,), size, θs)

    begin = read(beginning(dataset.splits[VALID], TUNED), SHARPNESS)

    def loss(θ: float) -> float:
        return em_weights(np.stack([begin.model[1.0], begin.cache[θ]])).nats

    best = min(SHARPNESS, key=loss)
    return best, {s: read(dataset.splits[s], (best, 0.0)) for s in (VALID, TEST)}


def lanes_of(tokens: TokenArray, size: int, reading: str) -> int:
    """Lanes in which a split is read: each has a cache of its own, empty at first."""
    if reading != "streams":
        return 1
    return max(1, min(LANES, len(tokens.ids) // (CACHES * size)))
