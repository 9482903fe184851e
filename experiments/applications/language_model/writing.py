"""Text that a trained language model writes."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from data_pipeline.tokenizers import tokenizer_named
from data_pipeline.vocabulary import EOS, EOS_ID, Vocabulary
from experiments.applications.language_model.reading import setting_of
from experiments.applications.language_model.trained import Trained
from experiments.config import Config
from lm.generate import Filters, drawn_at_once, make_text_beam, make_text_sampler
from lm.models.language_model import LanguageModel

AT_ONCE = 1 << 24  # random numbers that all lanes draw at once, at most


class Prompt(NamedTuple):
    """What a text goes on from.

    text    as it was given, and as it is printed.
    tokens  as the model reads it, but for the start mark; lines end as in training.
    """

    text: str = ""
    tokens: tuple[str, ...] = ()

    def unknown(self, vocabulary: Vocabulary) -> list[str]:
        """The tokens that are read as `<unk>`."""
        return sorted({t for t in self.tokens if t not in vocabulary.index})


def prompt_of(config: Config, vocabulary: Vocabulary, text: str) -> Prompt:
    """A prompt, cut and cased as training's text was."""
    split = tokenizer_named(vocabulary.tokenizer, vocabulary.model).split
    cased = text.lower() if vocabulary.lower else text
    if not setting_of(config, vocabulary).marks:
        return Prompt(text, tuple(split(cased)))
    *whole, last = cased.split("\n")
    lines = [found for line in whole if (found := split(line))]
    ended = [token for line in lines for token in (*line, EOS)]
    return Prompt(text, (*ended, *split(last)))


def make_writer(
    config: Config,
    vocabulary: Vocabulary,
    model: LanguageModel,
    *,
    filters: Filters | None = None,
    samples: int = 5,
    max_tokens: int = 100,
    prompt: Prompt | None = None,
) -> Callable[[Any, Any], list[str]]:
    """write(params, key) -> texts, compiled at its first call.

    Texts are drawn in batches of lanes, so that memory does not grow with their
    number; which batch a text falls into changes nothing in it.
    """
    setting, prompt = setting_of(config, vocabulary), prompt or Prompt()
    chosen = filters or Filters()
    chosen = chosen._replace(banned=(*chosen.banned, *setting.banned))
    lane = drawn_at_once(vocabulary.size, max_tokens) * vocabulary.size
    lanes = max(1, min(samples, AT_ONCE // lane))
    sample = jax.jit(
        make_text_sampler(model, chosen, max_tokens, setting.stop), static_argnums=3
    )
    context_S1 = _context(setting.start, vocabulary, prompt)[:, None]

    def write(params: Any, key: Any) -> list[str]:
        texts: list[str] = []
        for first in range(0, samples, lanes):
            ids_TB = np.asarray(sample(params, key, context_S1, lanes, first))
            wanted = ids_TB.T[: samples - first]
            texts += [to_text(vocabulary, prompt, ids, setting.marks) for ids in wanted]
        return texts

    return write


def _context(start: int, vocabulary: Vocabulary, prompt: Prompt) -> np.ndarray:
    return np.append(start, vocabulary.encode(prompt.tokens)).astype(np.int32)


def to_text(
    vocabulary: Vocabulary, prompt: Prompt, ids: Sequence[int] | np.ndarray, marks: bool
) -> str:
    """The prompt as it was given, and what was written, up to the sentence's end."""
    wrote = [int(i) for i in ids]
    if marks and EOS_ID in wrote:
        wrote = wrote[: wrote.index(EOS_ID)]
    _, join, _, separates, _ = tokenizer_named(vocabulary.tokenizer, vocabulary.model)
    line = list(prompt.tokens)
    if EOS in line:
        line = line[len(line) - line[::-1].index(EOS) :]
    before, whole = join(line), join([*line, *vocabulary.decode(wrote)])
    rest = whole[len(before) :] if whole.startswith(before) else f" {whole}"
    if separates and prompt.text[-1:].isspace():
        rest = rest.removeprefix(" ")
    return prompt.text + rest


def likeliest(
    trained: Trained,
    prompt: Prompt,
    *,
    width: int,
    samples: int,
    max_tokens: int,
    banned: tuple[int, ...] = (),
) -> list[tuple[float, str]]:
    """The best texts of a beam search, each with its log-probability in nats."""
    vocabulary = trained.vocabulary
    setting = setting_of(trained.config, vocabulary)
    banned = (*banned, *setting.banned)
    search = make_text_beam(trained.model, width, max_tokens, setting.stop, banned)
    context_S = _context(setting.start, vocabulary, prompt)
    found = jax.device_get(jax.jit(search)(trained.params, context_S))
    best = list(zip(found.log_probability.tolist(), found.ids, strict=True))[:samples]
    return [
        (score, to_text(vocabulary, prompt, ids, setting.marks))
        for score, ids in best
        if np.isfinite(score)
    ]
