"""Score text with a trained model: log-probabilities, perplexity, surprisal.

Text is one sentence a line, cut into tokens as the training text was; every line, a
blank one too, has a row. It is read as training's evaluation reads a split, so the
perplexity of a split's file is the one in summary.json; for a model of streams the
state is carried from line to line then. With --independent every line starts afresh,
from the boundary that the model knows: `<eos>`, or a newline where a stream of
characters has no `<eos>`. Logarithms are natural.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from data_pipeline.told import MANY_UNKNOWN
from experiments.console.command_line import command_line, user_errors
from experiments.console.printable import json_line, visible
from lm.config import ConfigError

if TYPE_CHECKING:
    from experiments.applications.language_model.scoring import Sentence


@dataclass(frozen=True)
class Score:
    """Which model scores what."""

    run: str
    """Directory of the run whose best checkpoint scores."""
    text: str = ""
    """A file, one sentence a line (also .gz), or rows of CSV, TSV or JSON lines; `-` is
    standard input, the default."""
    split: Literal["", "train", "valid", "test"] = ""
    """A split of the run's own corpus, in place of --text."""
    independent: bool = False
    """Score every line by itself, from the initial state."""
    nbest: bool = False
    """Lines come in groups, parted by empty lines or as `group ||| text`: print the
    likeliest of each group, an empty one only where there is no other. Implies
    --independent."""
    per_token: bool = False
    """Print the surprisal of each token, in nats, too."""
    jsonl: bool = False
    """Print a JSON object a line; the total goes to standard error."""
    column: str = ""
    """The column or field of a table to read; by default the one of training."""
    errors: Literal["", "strict", "replace"] = ""
    """Bytes that are not UTF-8, and NUL: `strict` (stop) or `replace` (by U+FFFD); by
    default as in training."""

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


def score(options: Score) -> list["Sentence"]:
    """The sentences that the options name, scored."""
    from experiments.applications.language_model import scoring
    from experiments.applications.lines import grouped, read_lines
    from experiments.train.trained import load_trained, split_of_run

    trained = load_trained(options.run)
    if options.split:
        split = split_of_run(options.run, trained, options.split)
        return scoring.score_split(trained, split, options.independent)
    data = trained.config.data
    lines = read_lines(
        options.text or "-",
        options.column or data.column,
        options.errors or data.errors,
    )
    if options.nbest:
        return scoring.score_lines(trained, grouped(lines))
    if options.independent:
        return scoring.score_lines(trained, lines)
    return scoring.score_text(trained, lines)


def show(options: Score, sentences: Sequence["Sentence"]) -> None:
    """Prints the sentences and, after them, the total."""
    from experiments.applications.language_model.scoring import best_of_groups, total_of

    total = total_of(sentences)
    shown = best_of_groups(sentences) if options.nbest else sentences
    if options.jsonl:
        for sentence in shown:
            print(json_line(sentence.record(options.per_token)))
        total |= {"warning": said} if (said := warning(total["unknown_rate"])) else {}
        print(json_line({"total": total}), file=sys.stderr)
        return
    print(f"{'ln P':>10}  {'ppl':>9}  {'tokens':>6}  sentence")
    for sentence in shown:
        print(visible(_line(sentence)))
        if options.per_token:
            for line in _token_lines(sentence):
                print(visible(line))
    print(
        f"total: {total['sentences']:,} sentences, {total['tokens']:,} tokens, "
        f"{total['nats_per_token']:.6f} nats per token, perplexity "
        f"{total['perplexity']:.4f} with {total['unknown_rate']:.1%} unknown, "
        f"{total['oov']:,} out of vocabulary"
    )
    if said := warning(total["unknown_rate"]):
        print(f"warning: {said}", file=sys.stderr)


def warning(unknown_rate: float) -> str:
    """What is to be said of a text of which the model hardly knows a word; or ""."""
    if unknown_rate <= MANY_UNKNOWN:
        return ""
    return (
        f"{unknown_rate:.0%} of the tokens are not in the model's vocabulary "
        "and count as <unk>: the perplexity says little about this text"
    )


def _line(sentence: "Sentence") -> str:
    known = sentence.perplexity
    mean = "-" if known is None else f"{known:.2f}"
    oov = f"  [unknown: {', '.join(sentence.oov)}]" if sentence.oov else ""
    group = "" if sentence.line.group is None else f"{sentence.line.group}: "
    return (
        f"{0 - sentence.total:10.4f}  {mean:>9}  {len(sentence.nats):6}  "
        f"{group}{sentence.text}{oov}"
    )


def _token_lines(sentence: "Sentence") -> list[str]:
    rows = zip(sentence.tokens, sentence.nats, sentence.unknown, strict=True)
    return [
        f"{-nats:10.4f}  {json.dumps(token, ensure_ascii=False)}"
        f"{'  out of vocabulary' if unknown else ''}"
        for token, nats, unknown in rows
    ]


if __name__ == "__main__":
    main()
