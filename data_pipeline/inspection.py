"""What is in a corpus: sizes, coverage, lengths, samples; as text and as a plot."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from data_pipeline.config import DataConfig
from data_pipeline.corpora.notes import listed
from data_pipeline.corpora.text import SPLITS
from data_pipeline.dataset import prepare
from data_pipeline.order import shuffled
from data_pipeline.printable import printable
from data_pipeline.tokenizers import tokenizer_named
from data_pipeline.told import understood
from data_pipeline.types import Dataset, TokenArray
from data_pipeline.vocabulary import UNK_ID, Vocabulary

# Facts that the report shows in lines of their own.
SHOWN = frozenset(
    "vocabulary tokens sentences unknown_rate rarest_kept notes files lines_left_out "
    "duplicates_left_out".split()
)


class Inspection(NamedTuple):
    """A corpus with its whole vocabulary, of which `limit` ids would be kept."""

    dataset: Dataset
    limit: int


def inspect(config: DataConfig) -> Inspection:
    """Prepare the corpus with every type kept, and see where the limits would cut."""
    whole = config
    if config.tokenizer != "bpe":
        whole = replace(config, max_vocabulary=0, min_count=1)
    dataset = prepare(whole)
    frequent = int(np.sum(np.array(dataset.vocabulary.counts[2:]) >= config.min_count))
    limit = min(config.max_vocabulary or dataset.vocabulary.size, 2 + frequent)
    return Inspection(dataset, limit)


def report(inspection: Inspection, samples: int = 10) -> Iterator[str]:
    """The lines of the report."""
    dataset, limit = inspection
    vocabulary = dataset.vocabulary
    name, fingerprint, facts = dataset.corpus
    yield f"{printable(name)}  fingerprint {fingerprint}"
    yield from (f"  {line}" for line in _reading_lines(dataset))
    yield from (f"  {name}: {facts[name]}" for name in facts if name not in SHOWN)
    yield f"{'split':8}{'tokens':>14}{'types':>10}{'sentences':>12}{'unknown':>10}"
    for name in SPLITS:
        tokens = dataset.splits[name]
        types = np.count_nonzero(np.bincount(tokens.ids, minlength=vocabulary.size))
        unknown = float(np.mean(_limited(tokens.ids, limit) == UNK_ID))
        count = len(tokens.starts) - 1
        yield f"{name:8}{len(tokens.ids):14,}{types:10,}{count:12,}{unknown:10.2%}"
    yield f"vocabulary: {limit:,} of {vocabulary.size:,} types kept, marks included"
    if limit > 2:
        rarest, seen = vocabulary.tokens[limit - 1], vocabulary.counts[limit - 1]
        yield f"the rarest word kept is {rarest!r}, seen {seen} times in train"
    yield from _coverage_lines(vocabulary)
    yield from _length_lines(dataset.splits["train"])
    yield from _sample_lines(inspection, samples)


def _reading_lines(dataset: Dataset) -> Iterator[str]:
    """Which files are which split, and how they were read."""
    yield from understood(dataset.corpus)
    files = dataset.corpus.facts.get("files")
    if files is None:
        return
    for split, names in files.items():
        yield f"{split}: {listed(names, most=20)}"
    notes = " ".join(dataset.corpus.facts["notes"])
    ends = "as told above" if "line ends of" in notes else "LF"
    yield f"encoding UTF-8, line ends {ends}"


def coverage(vocabulary: Vocabulary) -> np.ndarray:
    """(V,) share of the training tokens that the first v + 1 ids stand for, `<unk>`
    in the text not counted as known."""
    counts = np.array(vocabulary.counts, np.float64)
    total = max(1.0, counts.sum())
    counts[UNK_ID] = 0
    return np.cumsum(counts) / total


def _coverage_lines(vocabulary: Vocabulary) -> Iterator[str]:
    share = coverage(vocabulary)
    sizes = [10**k * m for k in range(2, 8) for m in (1, 2, 5)]
    sizes = [n for n in sizes if n < vocabulary.size] + [vocabulary.size]
    yield "coverage of train: " + ", ".join(f"{n:,}: {share[n - 1]:.2%}" for n in sizes)


def _length_lines(tokens: TokenArray) -> Iterator[str]:
    lengths = np.diff(tokens.starts)
    if len(lengths) < 2:
        yield "one piece of text without sentence marks"
        return
    shares = np.percentile(lengths, (5, 50, 95, 99, 100)).astype(int)
    yield (
        f"tokens in a sentence, with its mark: mean {lengths.mean():.1f}; "
        "5, 50, 95, 99, 100 %: " + ", ".join(map(str, shares))
    )


def _sample_lines(inspection: Inspection, samples: int) -> Iterator[str]:
    (vocabulary, splits, _), limit = inspection
    join = tokenizer_named(vocabulary.tokenizer, vocabulary.model).join
    tokens = splits["train"]
    whole = len(tokens.starts) == 2  # one piece: show windows of it
    starts = np.arange(0, len(tokens.ids), 80) if whole else tokens.starts[:-1]
    for i in shuffled(len(starts), 0)[:samples]:
        end = starts[i] + 80 if whole else tokens.starts[i + 1] - 1
        ids = tokens.ids[starts[i] : end]
        before = _one_line(join(vocabulary.decode(ids)))
        after = _one_line(join(vocabulary.decode(_limited(ids, limit))))
        yield f"  before | {before}"
        yield f"  after  | {after if after != before else '(the same)'}"


def _one_line(text: str) -> str:
    return printable(text.replace("\n", "⏎"))


def _limited(ids: np.ndarray, limit: int) -> np.ndarray:
    return np.where(ids < limit, ids, UNK_ID)


def plot(inspection: Inspection, path: Path) -> None:
    """Coverage against vocabulary size, and sentence lengths, as one picture."""
    dataset, limit = inspection
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    share = coverage(dataset.vocabulary)
    sizes = np.arange(1, len(share) + 1)
    shown = np.unique(np.geomspace(1, len(share), 500).astype(int)) - 1
    left.plot(sizes[shown], 100 * share[shown], color="C0")
    kept = 100 * share[limit - 1]
    left.axvline(limit, color="0.4", linestyle="--", linewidth=1)
    left.annotate(
        f"{limit:,} kept\n{kept:.1f} %",
        (limit, kept),
        xytext=(-6, 12),
        textcoords=("offset points", "axes points"),
        ha="right",
    )
    left.set(xscale="log", xlabel="vocabulary size", ylabel="training tokens known (%)")
    left.set(ylim=(0, 103), title=f"{dataset.corpus.name}: coverage")
    _draw_lengths(right, dataset)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def _draw_lengths(axes: Any, dataset: Dataset) -> None:
    axes.set(xlabel="tokens in a sentence (with <eos>)", ylabel="density")
    if all(len(split.starts) == 2 for split in dataset.splits.values()):
        axes.set(title="one piece of text without sentence marks", xticks=[], yticks=[])
        return
    for name, style in zip(SPLITS, ("-", "--", ":"), strict=True):
        lengths = np.diff(dataset.splits[name].starts)
        top = max(2, int(np.percentile(lengths, 99.5)))
        edges = np.linspace(0.5, top + 0.5, min(top, 60) + 1)
        axes.hist(
            lengths, edges, density=True, histtype="step", linestyle=style, label=name
        )
    axes.set(title="sentence lengths, 99.5 % of them")
    axes.legend()
