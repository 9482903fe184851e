"""Write text with a trained model: sampling, greedy choice or beam search.

One step per token and sample, never the whole prefix again; all samples in one
compiled scan. The same seed gives the same text.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from experiments.console.command_line import command_line, user_errors
from experiments.console.printable import json_line, visible
from lm.config import ConfigError, at_least, within


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
    jsonl: bool = False
    """Print a JSON object a text, with every character as it was written."""

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
        show(generate(options), options.jsonl)


def generate(options: Generate) -> list[dict[str, Any]]:
    """The texts that the options ask for: {"text", "log_probability" of a beam's}."""
    import jax

    from data_pipeline.vocabulary import UNK_ID
    from experiments.applications.language_model import writing
    from experiments.train.trained import load_trained
    from lm.generate import Filters

    trained = load_trained(options.run)
    config, vocabulary, model, params, _ = trained
    prompt = writing.prompt_of(config, vocabulary, options.prompt)
    if unknown := prompt.unknown(vocabulary):
        told = ", ".join(map(ascii, unknown[:5])) + (", …" if len(unknown) > 5 else "")
        print(f"note: not in the vocabulary, read as <unk>: {told}", file=sys.stderr)
    banned = () if options.unk else (UNK_ID,)
    if options.beam:
        found = writing.likeliest(
            trained,
            prompt,
            width=options.beam,
            samples=options.samples,
            max_tokens=options.max_tokens,
            banned=banned,
        )
        return [{"text": text, "log_probability": score} for score, text in found]
    top_k = min(options.top_k, vocabulary.size)
    filters = Filters(options.temperature, top_k, options.top_p, options.greedy, banned)
    write = writing.make_writer(
        config,
        vocabulary,
        model,
        filters=filters,
        samples=options.samples,
        max_tokens=options.max_tokens,
        prompt=prompt,
    )
    return [{"text": text} for text in write(params, jax.random.key(options.seed))]


def show(found: Sequence[dict[str, Any]], jsonl: bool) -> None:
    """Prints the texts; those of several lines are set apart."""
    several_lines = any("\n" in record["text"] for record in found)
    for number, record in enumerate(found, 1):
        if jsonl:
            print(json_line(record))
            continue
        if several_lines and len(found) > 1:
            print(f"--- {number} ---")
        score = record.get("log_probability")
        before = "" if score is None else f"{score:10.4f}  "
        print(visible(before + record["text"]))


if __name__ == "__main__":
    main()
