"""A trained language model, for those who use it."""

from typing import Any, NamedTuple

from data_pipeline.vocabulary import Vocabulary
from experiments.applications.application import Restored
from experiments.config import Config
from lm.models.language_model import LanguageModel, build


class Trained(NamedTuple):
    """A model with its best parameters and its vocabulary; `step`: which they are."""

    config: Config
    vocabulary: Vocabulary
    model: LanguageModel
    params: Any
    step: int


def trained_of(restored: Restored) -> Trained:
    """The language model in what a run has trained."""
    config, prepared, _, params, step = restored
    vocabulary = prepared.source.vocabulary
    return Trained(
        config, vocabulary, build(config.model, vocabulary.size), params, step
    )
