"""How a language model reads text: in what batches, and what begins and ends it."""

import dataclasses
from typing import NamedTuple

from data_pipeline.batches import batches_for
from data_pipeline.streams import Reading
from data_pipeline.tokenizers import TOKENIZERS
from data_pipeline.types import TokenArray
from data_pipeline.vocabulary import EOS_ID, Vocabulary
from experiments.config import Config

NEWLINE = "\n"


class Setting(NamedTuple):
    """What stands around a text, as in training; a model knows no other boundary.

    marks  whether sentences end with `<eos>`. Not so for characters or bytes that are
           read as one stream: there the text stays as it is, newlines included.
    start  the id before the first token of a text.
    end    the id that ends a line; None where training never saw a line end.
    """

    marks: bool
    start: int
    end: int | None

    @property
    def stop(self) -> int | None:
        """The id after which nothing more is written."""
        return EOS_ID if self.marks else None

    @property
    def banned(self) -> tuple[int, ...]:
        """Ids that are never written."""
        return () if self.marks else (EOS_ID,)


def setting_of(config: Config, vocabulary: Vocabulary) -> Setting:
    """The boundaries that a model of this config was trained with.

    A stream without `<eos>` has newlines in their place, if its training split has
    any; otherwise the one start it knows is that of the stream.
    """
    marks = TOKENIZERS[vocabulary.tokenizer].marks
    if marks or config.data.reading == "sentences":
        return Setting(True, EOS_ID, EOS_ID)
    newline = vocabulary.index.get(NEWLINE)
    if newline is None or not vocabulary.counts[newline]:
        return Setting(False, EOS_ID, None)
    return Setting(False, newline, newline)


def evaluation_batches(config: Config, tokens: TokenArray) -> Reading:
    """The batches that cover a split once, `train.eval_batch` lanes wide.

    A lane starts in mid-sentence from the initial state, so a short text is read in
    fewer: a lane has at least 50 windows.
    """
    lanes = config.train.eval_batch
    if config.data.reading == "streams":
        lanes = min(lanes, max(1, len(tokens.ids) // (50 * config.data.window)))
    data = dataclasses.replace(config.data, batch=lanes)
    return batches_for(data, tokens, evaluation=True)
