"""What applications that write share: the decoder, and how its answers are searched;
plain numbers, without JAX."""

from dataclasses import dataclass

from lm.config import (
    AttentionPlace,
    AttentionScore,
    ConfigError,
    ModelConfig,
    choice,
    within,
)


@dataclass(frozen=True)
class DecoderConfig(ModelConfig):
    """A decoder, and an encoder before it: of a recurrent encoder each direction has
    `hidden` units a layer, as the decoder has."""

    attention: AttentionPlace = "bahdanau"
    """Where attention stands: none; luong, behind the recurrence; bahdanau, before it,
    asked with the state before the step."""
    score: AttentionScore = "additive"
    """How a query is held against a place: dot, general or additive."""
    smoothing: float = 0.0
    """Of the labels, in training."""

    def __post_init__(self):
        super().__post_init__()
        choice("model.attention", self.attention, AttentionPlace)
        choice("model.score", self.score, AttentionScore)
        within("model.smoothing", self.smoothing, 0.0, 1.0, open_high=True)
        if self.embedding == 0:
            raise ConfigError(
                "model.embedding is 0: encoder and decoder read word vectors; set it "
                "above 0"
            )


@dataclass(frozen=True)
class SearchConfig:
    """How the final answers are searched."""

    beam: int = 5
    """Hypotheses that beam search keeps; greedy search is scored besides."""
    normalise: float = 1.0
    """Hypotheses are ordered by log-probability/length^normalise."""

    def __post_init__(self):
        within("search.beam", self.beam, 1, 1_000)
        within("search.normalise", self.normalise, 0.0, 10.0)
