"""What stands beside a trained model: the n-gram of its text, alone and mixed with it.

A network and an n-gram err at different tokens, so that p = w p_network + (1 − w)
p_ngram, with the w that EM finds on the validation split, is better than either.
"""

import numpy as np

from data_pipeline.types import Dataset
from experiments import ngram
from experiments.applications.application import Final
from experiments.applications.language_model.scoring import score_tokens
from experiments.applications.language_model.trained import Trained
from lm.adaptive.mixture import em_weights, mixed
from lm.losses import perplexity


def beside(trained: Trained, dataset: Dataset, order: int) -> Final:
    """Of valid and test: nats per token and perplexity of an interpolated Kneser–Ney
    n-gram of train, among the baselines; among the scores the perplexity of the
    mixture, and the n-gram's share 1 − w in it."""
    theirs = ngram.nats(dataset.splits, dataset.vocabulary.size, order)
    both = {
        split: np.stack([score_tokens(trained, dataset.splits[split]), nats_N])
        for split, nats_N in theirs.items()
    }
    weights_K = em_weights(both["valid"]).weights_K
    share = float(weights_K[1])
    scores = {
        split: {
            "mixed_perplexity": perplexity(float(np.mean(mixed(nats_KN, weights_K)))),
            "ngram_share": share,
        }
        for split, nats_KN in both.items()
    }
    return Final(scores, {f"Kneser-Ney {order}-gram": ngram.summed_up(theirs)})
