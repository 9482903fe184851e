"""What a run of a language model that spells is made of."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from data_pipeline.config import DataConfig
from experiments.config import RunConfig, check_dropout
from lm.checks import choice
from lm.config import ConfigError, ModelConfig, SpellingConfig

Words = Literal["convolution", "bilstm", "embedding"]


@dataclass(frozen=True)
class CharWordsConfig(RunConfig):
    """A run of a language model whose words are made of their characters."""

    application: ClassVar[str] = "char_words"

    data: DataConfig = field(
        default_factory=lambda: DataConfig(corpus="morphology", max_vocabulary=1_500)
    )
    model: ModelConfig = field(default_factory=ModelConfig)
    words: Words = "convolution"
    """What a word's vector is made of: its characters, by a convolution and highway
    layers or by a bidirectional LSTM; or a row of a table, `<unk>`'s for words outside
    the vocabulary."""
    spelling: SpellingConfig = field(default_factory=SpellingConfig)

    def __post_init__(self):
        super().__post_init__()
        check_dropout(self.optim, self.model)
        choice("words", self.words, Words)
        if self.data.one_hot:
            raise ConfigError("data.one_hot: words are read by spelling; leave it out")
        if self.data.tokenizer not in ("words", "whitespace"):
            raise ConfigError(
                f"data.tokenizer is {self.data.tokenizer!r}: what is spelt is words, "
                "so use 'words' or 'whitespace'"
            )
        if self.model.embedding == 0:
            raise ConfigError("model.embedding is 0: it is a word vector's width")
        if self.words != "embedding":
            self._check_table()

    def _check_table(self):
        """What needs a table of word vectors is refused where there is none."""
        if self.model.softmax != "full":
            raise ConfigError(
                f"model.softmax is {self.model.softmax!r}, but words made of "
                "characters have no table to share: use 'full'"
            )
        if self.model.dropout.embedding:
            raise ConfigError(
                "dropout.embedding drops rows of a table, and words made of characters "
                "have none: set it to 0"
            )
