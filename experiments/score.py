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
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from data_pipeline.dataset import TokenArray, encode_text
from data_pipeline.errors import DataError
from data_pipeline.vocabulary import EOS, UNK_ID
from experiments.arguments import command_line
from experiments.command import user_errors
from experiments.files import RunError, plain
from experiments.written import Written, as_written, grouped, read_lines
from lm.config import ConfigError

if TYPE_CHECKING:
    from experiments.trained import Trained

LOGITS = 1 << 26  # numbers in the logits of a batch of sentences, at most


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


class Sentence(NamedTuple):
    """A scored sentence: its text, tokens as written, and nats of each."""

    text: str
    tokens: list[str]
    nats: np.ndarray
    oov: list[str]
    group: str = ""

    @property
    def total(self) -> float:
        """−ln P(sentence)."""
        return float(np.sum(self.nats, dtype=np.float64))

    def record(self, per_token: bool) -> dict[str, Any]:
        """As a JSON object."""
        mean = self.total / max(1, len(self.nats))
        found: dict[str, Any] = {
            "text": self.text,
            "log_probability": -self.total,
            "tokens": len(self.nats),
            "perplexity": _perplexity(mean),
            "oov": self.oov,
        }
        if self.group:
            found["group"] = self.group
        if per_token:
            found["surprisals"] = [
                [t, float(n)] for t, n in zip(self.tokens, self.nats, strict=True)
            ]
        return plain(found)


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


def score(options: Score) -> list[Sentence]:
    """The sentences that the options name, scored."""
    from experiments.trained import has_marks, load_trained

    trained = load_trained(options.run)
    marks = has_marks(trained.config, trained.vocabulary)
    if options.split:
        tokens = _split_of_run(trained, options.split)
        return sentences_of(trained, tokens, score_tokens(trained, tokens))
    lines = list(read_lines(options.text or "-"))
    if options.nbest:
        groups = list(grouped(lines))
        return score_lines(trained, [t for _, t in groups], [g for g, _ in groups])
    if options.independent:
        return score_lines(trained, [line for line in lines if line.strip()])
    tokens = encode_text(trained.vocabulary, None, lines, marks=marks)
    _refuse_empty(len(tokens.ids))
    written = as_written(trained.vocabulary, lines, marks)
    return sentences_of(trained, tokens, score_tokens(trained, tokens), written)


def score_lines(
    trained: "Trained", lines: Sequence[str], groups: Sequence[str] = ()
) -> list[Sentence]:
    """Each line by itself, from the initial state, its end mark included."""
    lines = [line.rstrip("\n") for line in lines]
    _refuse_empty(len(lines))
    tokens = encode_text(trained.vocabulary, None, lines, marks=True)
    _refuse_empty(len(tokens.ids))
    nats = score_tokens(trained, tokens, independent=True)
    written = as_written(trained.vocabulary, lines, True)
    found = sentences_of(trained, tokens, nats, written)
    if groups and len(found) == len(groups):
        found = [s._replace(group=g) for s, g in zip(found, groups, strict=True)]
    return found


def score_tokens(
    trained: "Trained", tokens: TokenArray, independent: bool = False
) -> np.ndarray:
    """nats (N,) float32 of each token, in the order of the text.

    The batches are those of training's evaluation, or whole sentences. Where each
    number belongs is found by reading the positions 0 … N−1 through the same batches.
    """
    import jax

    from data_pipeline.batches import one_hot
    from lm.score import make_score_step

    model, params = trained.model, trained.params
    places = TokenArray(np.arange(len(tokens.ids)), tokens.starts)
    batches = _batches(trained, tokens, independent)
    positions = _batches(trained, places, independent)
    step = jax.jit(make_score_step(model), donate_argnums=1)
    carry = model.initial_state(params, batches.batch)
    found = np.zeros(len(tokens.ids), np.float32)
    for number in range(batches.steps):
        batch, place = batches.batch_at(0, 0, number), positions.batch_at(0, 0, number)
        if trained.config.data.one_hot:
            batch = one_hot(batch, model.vocabulary)
        carry, nats_TB = step(params, carry, batch)
        real_TB = place.mask > 0
        found[place.targets[real_TB]] = np.asarray(nats_TB)[real_TB]
    return found


def _batches(trained: "Trained", tokens: TokenArray, independent: bool):
    from data_pipeline.batches import Sentences
    from experiments.evaluate import evaluation_batches

    config = trained.config
    if not independent:
        return evaluation_batches(config, tokens)
    longest = int(np.diff(tokens.starts).max())
    lanes = LOGITS // (longest * trained.vocabulary.size)
    lanes = max(1, min(config.train.eval_batch, lanes, len(tokens.starts) - 1))
    return Sentences(tokens, lanes, longest, shuffle=False)


def sentences_of(
    trained: "Trained",
    tokens: TokenArray,
    nats: np.ndarray,
    written: Written | None = None,
) -> list[Sentence]:
    """Sentences cut at their marks, or at newlines where there are none."""
    from data_pipeline.tokenizers import tokenizer_named

    vocabulary = trained.vocabulary
    words, lines = written or ([], [])
    known = len(words) == len(tokens.ids)
    words = words if known else vocabulary.decode(tokens.ids)
    starts = tokens.starts
    newline = vocabulary.index.get("\n")
    if len(starts) == 2 and newline is not None:
        ends = np.flatnonzero(tokens.ids == newline) + 1
        starts = np.unique(np.concatenate([[0], ends, [len(tokens.ids)]]))
    join = tokenizer_named(vocabulary.tokenizer, vocabulary.model).join
    found = []
    for number, (a, b) in enumerate(pairwise(starts.tolist())):
        here = words[a:b]
        text = join([w for w in here if w != EOS]).rstrip("\n")
        if len(lines) == len(starts) - 1:
            text = lines[number]
        unknown = [w for w, i in zip(here, tokens.ids[a:b], strict=True) if i == UNK_ID]
        oov = [w for w in unknown if not known or w not in vocabulary.index]
        found.append(Sentence(text, here, nats[a:b], oov))
    return found


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


def _perplexity(nats_per_token: float) -> float:
    from lm.losses import perplexity  # not above: --help needs no JAX

    return perplexity(nats_per_token)


def _line(sentence: Sentence) -> str:
    mean = sentence.total / max(1, len(sentence.nats))
    oov = f"  [unknown: {', '.join(sentence.oov)}]" if sentence.oov else ""
    group = f"{sentence.group}: " if sentence.group else ""
    return (
        f"{-sentence.total:10.4f}  {_perplexity(mean):9.2f}  {len(sentence.nats):6}  "
        f"{group}{sentence.text}{oov}"
    )


def _split_of_run(trained: "Trained", name: str) -> TokenArray:
    """A split of the corpus that the run was trained on, as it is read today."""
    from data_pipeline.dataset import prepare

    dataset = prepare(trained.config.data)
    if dataset.vocabulary != trained.vocabulary:
        raise RunError(
            f"the corpus {trained.config.data.corpus!r} is not what this run was "
            "trained on: it gives another vocabulary"
        )
    return dataset.splits[name]


def _refuse_empty(size: int) -> None:
    if size == 0:
        raise DataError("there is no text to score: give lines with words in them")


if __name__ == "__main__":
    main()
