"""What `experiments.score` can be asked. No JAX here: `--help` answers at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from lm.config import ConfigError, at_least, within


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
    conditional: bool = False
    """Lines are PREFIX<TAB>CONTINUATION: score the continuation, ln P(it | prefix).
    Implies --independent."""
    nbest: bool = False
    """Lines come in groups, parted by empty lines or as `group ||| text`: print the
    likeliest of each group, an empty one only where there is no other. Implies
    --independent."""
    pairs: str = ""
    """Minimal pairs: TSV or JSON lines, a folder of these, `-`, or `grammar`: their
    accuracies by group; --format tsv or jsonl has a row a pair."""
    by: str = ""
    """`--pairs`: columns to group by, parted by commas; by default those of BLiMP."""
    ngram: int = 0
    """`--pairs`: the accuracy of an n-gram model of the run's training text beside it,
    of this order; 0: none."""
    references: str = ""
    """`--nbest`: a file with what was said, a line a group in their order, or `group
    ||| text`: the word error rate of what is chosen, and the least that can be."""
    dev: str = ""
    """`--nbest`: lists on which the weights of the language model and of a word are
    chosen; all lists are lines `group ||| acoustic score ||| text` then, or Moses'
    `group ||| text ||| features ||| score`."""
    dev_references: str = ""
    """`--nbest`: what was said in them; as --references."""
    weights: tuple[float, float] | None = None
    """`--nbest`: the two weights, in place of --dev."""
    unit: Literal["sentence", "word", "token"] = "sentence"
    """What has a row."""
    top: int = 0
    """How many of the likeliest tokens each word's or token's row has."""
    base: Literal["nats", "bits"] = "nats"
    """The unit of all logarithms."""
    skip_first: bool = False
    """Leave the first word of every line without a score: only a boundary is before
    it."""
    skip_end: bool = False
    """Leave out what ends a line, `<eos>` or a newline."""
    format: Literal["table", "tsv", "jsonl"] = "table"
    """How rows are printed; beside tsv and jsonl the total goes to standard error."""
    per_token: bool = False
    """Print the surprisal of each token of a sentence below it, too."""
    jsonl: bool = False
    """The same as --format jsonl."""
    states: str = ""
    """A file .npz to write the top layer's output before each token to."""
    column: str = ""
    """The column or field of a table to read; by default the one of training."""
    errors: Literal["", "strict", "replace"] = ""
    """Bytes that are not UTF-8, and NUL: `strict` (stop) or `replace` (by U+FFFD); by
    default as in training."""

    def __post_init__(self):
        at_least("--top", self.top, 0)
        within("--ngram", self.ngram, 0, 20)
        for weight in self.weights or ():
            within("--weights", weight, -1e9, 1e9)
        for wrong, said in _clashes(self):
            if wrong:
                raise ConfigError(said)

    @property
    def alone(self) -> bool:
        """Whether each line is scored by itself."""
        return self.independent or self.conditional or self.nbest

    @property
    def written(self) -> str:
        """The format."""
        return "jsonl" if self.jsonl else self.format

    @property
    def weighted(self) -> bool:
        """Whether hypotheses have acoustic scores."""
        return bool(self.dev) or self.weights is not None


def _clashes(given: Score) -> Iterator[tuple[object, str]]:
    """(whether it is so, what is said then) of options that do not go together."""
    words = given.unit != "sentence"
    yield given.text and given.split, "give --text or --split, not both"
    yield (
        given.nbest and given.split,
        "--nbest reads its groups from --text, not from a split",
    )
    yield (
        given.conditional and (given.split or given.nbest),
        "--conditional reads lines PREFIX<TAB>CONTINUATION from --text; it goes with "
        "neither --split nor --nbest",
    )
    yield (
        given.conditional and given.skip_first,
        "--skip-first is for lines with nothing before them; with --conditional the "
        "prefix is",
    )
    yield (
        given.top and not words,
        f"--top {given.top} needs rows of words: give --unit word or token",
    )
    yield (
        given.per_token and words,
        "--per-token goes with --unit sentence; --unit token has a row each",
    )
    yield (
        given.jsonl and given.format == "tsv",
        "give --jsonl or --format tsv, not both",
    )
    yield (
        given.nbest and (words or given.states),
        "--nbest chooses whole lines: without --unit and --states",
    )
    yield (
        given.states and not given.states.endswith(".npz"),
        f"--states is {given.states!r}: must end in .npz",
    )
    text = given.text or given.split or given.alone or given.states
    yield (
        given.pairs and (text or words or given.per_token or given.skip_first),
        "--pairs is a question of its own: it goes with --by, --ngram, --base, "
        "--skip-end, --format and --errors alone",
    )
    yield (given.by or given.ngram) and not given.pairs, "--by and --ngram need --pairs"
    yield from _clashes_of_lists(given)


def _clashes_of_lists(given: Score) -> Iterator[tuple[object, str]]:
    lists = given.references or given.dev or given.dev_references or given.weights
    yield (
        lists and not given.nbest,
        "--references, --dev, --dev-references and --weights need --nbest",
    )
    yield (
        bool(given.dev) != bool(given.dev_references),
        "--dev and --dev-references go together: lists, and what was said in them",
    )
    yield (
        given.dev and given.weights is not None,
        "give --dev, on which weights are chosen, or --weights, not both",
    )
    yield (
        given.references and not given.weighted,
        "--references need hypotheses with acoustic scores: give --dev or --weights",
    )
