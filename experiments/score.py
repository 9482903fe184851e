"""Score text with a trained model: log-probabilities, perplexity, surprisal.

Text is one sentence a line, cut into tokens as the training text was. It is read as
training's evaluation reads a split, so the perplexity of a split's file is the one in
summary.json; for a model of streams the state is carried from line to line then.
With --independent every line starts afresh. Logarithms are natural.
"""

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from experiments.applications.language_model.scoring import Sentence, _perplexity, score
from experiments.console.command_line import command_line, user_errors
from experiments.run.files import plain
from lm.config import ConfigError

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Score:
    """Which model scores what."""

    run: str
    """Directory of the run whose best checkpoint scores."""
    text: str = ""
    """A file, one sentence a line (also .gz); `-` is standard input, the default."""
    split: Literal["", "train", "valid", "test"] = ""
    """A split of the run's own corpus, in place of --text."""
    independent: bool = False
    """Score every line by itself, from the initial state."""
    nbest: bool = False
    """Lines come in groups, parted by empty lines or as `group ||| text`: print the
    likeliest of each group. Implies --independent."""
    per_token: bool = False
    """Print the surprisal of each token, in nats, too."""
    jsonl: bool = False
    """Print a JSON object a line; the total goes to standard error."""

    def __post_init__(self):
        if self.text and self.split:
            raise ConfigError("give --text or --split, not both")
        if self.nbest and self.split:
            raise ConfigError("--nbest reads its groups from --text, not from a split")


def main(argv: Sequence[str] | None = None) -> None:
    """The command line; a user's mistake prints one line and exits with 2."""
    options = command_line(
        Score,
        sys.argv[1:] if argv is None else argv,
        __doc__ or "",
        prog="python -m experiments.score",
        pairs=False,
    )
    with user_errors():
        show(options, score(options))


def best_of_groups(sentences: Sequence[Sentence]) -> list[Sentence]:
    """The likeliest sentence of each group, groups in order of appearance."""
    best: dict[str, Sentence] = {}
    for sentence in sentences:
        held = best.get(sentence.group)
        if held is None or sentence.total < held.total:
            best[sentence.group] = sentence
    return list(best.values())


def total_of(sentences: Sequence[Sentence]) -> dict[str, Any]:
    """Nats per token, perplexity and counts over all sentences."""
    count = sum(len(s.nats) for s in sentences)
    mean = sum(s.total for s in sentences) / count
    return {
        "nats_per_token": mean,
        "perplexity": _perplexity(mean),
        "bits_per_token": mean / math.log(2),
        "tokens": count,
        "sentences": len(sentences),
        "oov": sum(len(s.oov) for s in sentences),
    }


def show(options: Score, sentences: Sequence[Sentence]) -> None:
    """Prints the sentences and, after them, the total."""
    total = total_of(sentences)
    shown = best_of_groups(sentences) if options.nbest else sentences
    if options.jsonl:
        for sentence in shown:
            record = sentence.record(options.per_token)
            print(json.dumps(record, ensure_ascii=False))
        print(json.dumps({"total": plain(total)}), file=sys.stderr)
        return
    print(f"{'ln P':>10}  {'ppl':>9}  {'tokens':>6}  sentence")
    for sentence in shown:
        print(_line(sentence))
        if options.per_token:
            for token, nats in zip(sentence.tokens, sentence.nats, strict=True):
                flag = "  out of vocabulary" if token in sentence.oov else ""
                print(f"{-nats:10.4f}  {json.dumps(token, ensure_ascii=False)}{flag}")
    print(
        f"total: {total['sentences']:,} sentences, {total['tokens']:,} tokens, "
        f"{total['nats_per_token']:.6f} nats per token, perplexity "
        f"{total['perplexity']:.4f}, {total['oov']:,} out of vocabulary"
    )


def _line(sentence: Sentence) -> str:
    mean = sentence.total / max(1, len(sentence.nats))
    oov = f"  [unknown: {', '.join(sentence.oov)}]" if sentence.oov else ""
    group = f"{sentence.group}: " if sentence.group else ""
    return (
        f"{-sentence.total:10.4f}  {_perplexity(mean):9.2f}  {len(sentence.nats):6}  "
        f"{group}{sentence.text}{oov}"
    )


if __name__ == "__main__":
    main()
