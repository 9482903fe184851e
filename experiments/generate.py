"""Write text with a trained model: sampling, greedy choice or beam search.

One step per token and sample, never the whole prefix again; all samples in one
compiled scan. The same seed gives the same text.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from data_pipeline.vocabulary import EOS_ID, UNK_ID, Vocabulary
from experiments.arguments import command_line
from experiments.command import user_errors
from experiments.config import Config
from lm.config import ConfigError, at_least, within

if TYPE_CHECKING:
    from experiments.trained import Trained
    from lm.generate import Filters
    from lm.model import LanguageModel


@dataclass(frozen=True)
class Generate:
    """Which model writes what."""

    run: str
    """Directory of the run whose best checkpoint writes."""
    prompt: str = ""
    """Text to go on from; it is part of what is printed."""
    samples: int = 5
    """Texts to write (with --beam: how many of the best to print)."""
    temperature: float = 1.0
    """Divides the logits: below 1 safer, above 1 wilder, 0 as --greedy."""
    top_k: int = 0
    """Draw from the k likeliest tokens only; 0: from all."""
    top_p: float = 1.0
    """Draw from the fewest tokens that hold this probability; 1: from all."""
    greedy: bool = False
    """Always the likeliest token."""
    beam: int = 0
    """Beam search with so many texts at a time, for the likeliest; 0: none."""
    max_tokens: int = 100
    """Longest text, in tokens after the prompt."""
    unk: bool = True
    """Whether `<unk>` may be written."""
    seed: int = 0
    """Seed of the draws."""

    def __post_init__(self):
        at_least("--samples", self.samples, 1)
        at_least("--max-tokens", self.max_tokens, 1)
        at_least("--temperature", self.temperature, 0)
        at_least("--top-k", self.top_k, 0)
        at_least("--beam", self.beam, 0)
        within("--top-p", self.top_p, 0, 1)
        within("--seed", self.seed, 0, 2**32 - 1)
        draws = self.temperature != 1 or self.top_k or self.top_p < 1
        if self.beam and (draws or self.greedy):
            raise ConfigError(
                "--beam looks for the likeliest text and takes no --temperature, "
                "--top-k, --top-p or --greedy: leave these out, or --beam"
            )
        if self.greedy and draws:
            raise ConfigError(
                "--greedy takes no --temperature, --top-k or --top-p: nothing is drawn"
            )


def main(argv: Sequence[str] | None = None) -> None:
    """The command line; a user's mistake prints one line and exits with 2."""
    options = command_line(
        Generate,
        sys.argv[1:] if argv is None else argv,
        __doc__ or "",
        prog="python -m experiments.generate",
        pairs=False,
    )
    with user_errors():
        show(generate(options))


def show(texts: Sequence[str]) -> None:
    """Prints the texts; those of several lines are set apart."""
    several_lines = any("\n" in text for text in texts)
    for number, text in enumerate(texts, 1):
        if several_lines and len(texts) > 1:
            print(f"--- {number} ---")
        print(text)


def generate(options: Generate) -> list[str]:
    """The texts that the options ask for."""
    import jax

    from experiments.trained import load_trained

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
    import jax
    import numpy as np

    from experiments.trained import has_marks, start_context
    from lm.generate import Filters, make_sampler

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
    from lm.generate import Filters

    return Filters(
        temperature=options.temperature,
        top_k=min(options.top_k, trained.vocabulary.size),
        top_p=options.top_p,
        greedy=options.greedy,
        banned=() if options.unk else (UNK_ID,),
    )


def prompt_ids(config: Config, vocabulary: Vocabulary, text: str) -> list[int]:
    """Ids of a prompt; tokens that the vocabulary lacks are told to standard error."""
    from data_pipeline.tokenizers import tokenizer_named

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
    from data_pipeline.tokenizers import tokenizer_named

    wrote = [int(i) for i in ids]
    if marks and EOS_ID in wrote:
        wrote = wrote[: wrote.index(EOS_ID)]
    join = tokenizer_named(vocabulary.tokenizer, vocabulary.model).join
    return join(vocabulary.decode([*prompt, *wrote]))


def _beam(trained: "Trained", prompt: list[int], options: Generate) -> list[str]:
    """The best texts of a beam search, each after its log-probability in nats."""
    import jax
    import numpy as np

    from experiments.trained import has_marks, start_context
    from lm.generate import make_beam

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


if __name__ == "__main__":
    main()
