"""A trained language model, for those who use it."""

from typing import Any, NamedTuple

from data_pipeline.vocabulary import Vocabulary
from experiments.config import Config
from lm.models.language_model import LanguageModel


class Trained(NamedTuple):
    """A model with its best parameters and its vocabulary; `step`: which they are."""

    config: Config
    vocabulary: Vocabulary
    model: LanguageModel
    params: Any
    step: int
