"""Text that a trained language model writes."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from data_pipeline.tokenizers import tokenizer_named
from data_pipeline.vocabulary import EOS_ID, UNK_ID, Vocabulary
from experiments.config import Config
from experiments.generate import Generate
from experiments.train.trained import Trained, has_marks, load_trained, start_context
from lm.generate import Filters, make_beam, make_sampler
from lm.model import LanguageModel


def generate(options: Generate) -> list[str]:
    """The texts that the options ask for."""
    trained = load_trained(options.run)
    prompt = prompt_ids(trained.config, trained.vocabulary, options.prompt)
    if options.beam:
        return _beam(trained, prompt, options)
    write = make_writer(
        trained.config,
        trained.vocabulary,
        trained.model,
        filters=filters_of(trained, options),
        samples=options.samples,
        max_tokens=options.max_tokens,
        prompt=prompt,
    )
    return write(trained.params, jax.random.key(options.seed))


def make_writer(
    config: Config,
    vocabulary: Vocabulary,
    model: "LanguageModel",
    *,
    filters: "Filters | None" = None,
    samples: int = 5,
    max_tokens: int = 100,
    prompt: Sequence[int] = (),
) -> Callable[[Any, Any], list[str]]:
    """write(params, key) -> texts, compiled at its first call.

    Args:
      prompt: ids to go on from, without the start mark (see `prompt_ids`).
    """
    marks = has_marks(config, vocabulary)
    chosen = filters or Filters()
    if not marks:
        chosen = chosen._replace(banned=(*chosen.banned, EOS_ID))
    stop = EOS_ID if marks else None
    sample = jax.jit(make_sampler(model, chosen, max_tokens, stop))
    context = np.array([*start_context(config, vocabulary), *prompt], np.int32)
    prompt_SB = np.tile(context[:, None], (1, samples))

    def write(params: Any, key: Any) -> list[str]:
        ids_TB = np.asarray(sample(params, key, prompt_SB))
        return [to_text(vocabulary, prompt, lane, marks) for lane in ids_TB.T]

    return write


def filters_of(trained: "Trained", options: Generate) -> "Filters":
    """The options as filters."""
    return Filters(
        temperature=options.temperature,
        top_k=min(options.top_k, trained.vocabulary.size),
        top_p=options.top_p,
        greedy=options.greedy,
        banned=() if options.unk else (UNK_ID,),
    )


def prompt_ids(config: Config, vocabulary: Vocabulary, text: str) -> list[int]:
    """Ids of a prompt; tokens that the vocabulary lacks are told to standard error."""
    split = tokenizer_named(vocabulary.tokenizer, vocabulary.model).split
    tokens = split(text.lower() if vocabulary.lower else text) if text else []
    unknown = sorted({t for t in tokens if t not in vocabulary.index})
    if unknown:
        told = ", ".join(map(repr, unknown[:5])) + (", …" if len(unknown) > 5 else "")
        print(f"note: not in the vocabulary, read as <unk>: {told}", file=sys.stderr)
    return vocabulary.encode(tokens).tolist()


def to_text(
    vocabulary: Vocabulary, prompt: Sequence[int], ids: Any, marks: bool
) -> str:
    """Prompt and what was written, up to the end of the sentence, as text."""
    wrote = [int(i) for i in ids]
    if marks and EOS_ID in wrote:
        wrote = wrote[: wrote.index(EOS_ID)]
    join = tokenizer_named(vocabulary.tokenizer, vocabulary.model).join
    return join(vocabulary.decode([*prompt, *wrote]))


def _beam(trained: "Trained", prompt: list[int], options: Generate) -> list[str]:
    """The best texts of a beam search, each after its log-probability in nats."""
    config, vocabulary = trained.config, trained.vocabulary
    marks = has_marks(config, vocabulary)
    banned = (() if options.unk else (UNK_ID,)) + (() if marks else (EOS_ID,))
    stop = EOS_ID if marks else None
    search = make_beam(trained.model, options.beam, options.max_tokens, stop, banned)
    context = np.array([*start_context(config, vocabulary), *prompt], np.int32)
    found = jax.device_get(jax.jit(search)(trained.params, context))
    best = list(zip(found.log_probability, found.ids, strict=True))[: options.samples]
    return [
        f"{score:10.4f}  {to_text(vocabulary, prompt, ids, marks)}"
        for score, ids in best
        if np.isfinite(score)
    ]
