"""The table of applications: what each committed run scored on its test split, beside
the best that can be, what no neural network scores there, and what others published."""

import re
from collections.abc import Iterable, Mapping
from math import exp
from typing import Any

from experiments.applications import APPLICATIONS
from experiments.readme import own_texts
from experiments.results.intervals import mean, rounded
from experiments.results.markdown import markdown
from experiments.results.rows import Row, machine

# What others have published on the same data, and whose it is.
PUBLISHED = {
    "benchmark_reviews": "73.69 (LSTM), 75.90 (convolution): a public replication",
    "char_words_ptb": "perplexity about 93 (two layers of 300, Kim 2016)",
    "char_words_ptb_words": "perplexity about 98 (two layers of 300, Kim 2016)",
    "forecast_sunspots": "arv 1921 1955 about 0.086 (Weigend 1990)",
    "translation_multi30k_none": "BLEU 13.8 greedy (LSTM, 2 layers, no attention)",
    "translation_multi30k": "BLEU 28.3 greedy (GRU, attention); 36.5 (Transformer)",
}
# The scores that are shown, in this order; the first decides which baseline is best.
SHOWN: dict[str, tuple[str, ...]] = {
    "captions": ("exact", "bleu", "exact_beam"),
    "char_words": ("after_unknown", "perplexity"),
    "correction": ("f0.5", "sentence_accuracy"),
    "forecast": ("mase", "mase_ahead", "arv_1921_1955", "arv", "coverage_80_ahead"),
    "gap": ("perplexity", "accuracy"),
    "sentiment": ("accuracy",),
    "sequences": (
        "solved_seen",
        "solved_unseen_steps",
        "solved_unseen_starts",
        "solved_longer",
    ),
    "signals": ("accuracy",),
    "speech": ("string_errors", "symbol_errors", "string_errors_joined"),
    "translation": ("bleu", "bleu_beam", "exact"),
}
OF = {"benchmark_reviews": "sentiment"}  # rows that are not called after theirs
MOST, LOSSES = 4, ("loss", "nats_per_token")
LARGER = ("accuracy", "solved", "f0.5", "bleu", "exact")  # more of which is better
SEED = re.compile(r"_seed\d+$")
# Runs without one speaker, by how their names begin, and the score that is shown.
SPEAKERS = {"signals_digits_": "accuracy", "speech_digits_": "string_errors"}


def applications(rows: dict[str, Row]) -> str:
    """One line a run of an application that scores more than a language model does,
    its seeds together, and one for all speakers who were left out in turn."""
    runs: dict[str, list[Row]] = {}
    for name, row in rows.items():
        known = row["metrics"].get("baselines") or _optimum(row)
        if known and not name.startswith(own_texts.BEGINS):
            runs.setdefault(SEED.sub("", name), []).append(row)
    left_out = {
        begins: {n: runs.pop(n) for n in list(runs) if n.startswith(begins)}
        for begins in SPEAKERS
    }
    found = [_line(name, own) for name, own in sorted(runs.items(), key=_order)]
    found += [_speakers(begins, own) for begins, own in left_out.items() if own]
    head = ("run", "test scores", "best possible", "without a neural network")
    more = ("published", "minutes", "parameters", "command")
    return markdown((*head, *more), found)


def application_of(name: str) -> str:
    """The application that a row is of: the longest one that its name begins with."""
    fitting = [one for one in APPLICATIONS if name.startswith(one)]
    return OF.get(name.partition("_pretrained")[0], max(fitting, key=len, default=""))


def _order(item: tuple[str, Any]) -> tuple[str, bool, str]:
    """Those of an application together, the embedded one first."""
    name = application_of(item[0])
    return name, item[0] != name, item[0]


def _line(name: str, rows: list[Row]) -> tuple[str, ...]:
    application, first = application_of(name), rows[0]
    own = _chosen(application, _merged(rows))
    optimum = _optimum(first)
    best = {n: v for n, v in _in_perplexity(optimum).items() if n in own}
    best = best or {n: optimum[n] for n in ("solved",) if n in optimum}
    command = first["command"]
    if len(rows) > 1:
        seeds = ", ".join(str(n) for n in range(len(rows)))
        command += f"` (seeds {seeds})`"
    minutes = sum(row["seconds"] for row in rows) / len(rows) / 60
    return (
        f"`{name}`",
        ", ".join(f"{_words(n)} {_value(each)}" for n, each in own.items()),
        _told(best) or "not known",
        _beside(first, own) or "–",
        PUBLISHED.get(name, "–"),
        f"{minutes:.1f} on {machine(first)}",
        f"{first['metrics']['parameters']:,}",
        f"`{command}`".removesuffix("``"),
    )


def _speakers(begins: str, runs: Mapping[str, list[Row]]) -> tuple[str, ...]:
    """All who were left out in turn: means over them, each by the mean of its seeds."""
    first, score = next(iter(runs.values()))[0], SPEAKERS[begins]
    each = {
        name.removeprefix(begins): mean(_merged(rows)[score]).value
        for name, rows in runs.items()
    }
    beside = {
        what: mean(
            [
                own[0]["metrics"]["baselines"][what]["test"][score]
                for own in runs.values()
            ]
        )
        for what in first["metrics"]["baselines"]
    }
    best = (max if score in LARGER else min)(
        beside, key=lambda what: beside[what].value
    )
    own = ", ".join(f"{name} {value:.3g}" for name, value in each.items())
    every = [row for rows in runs.values() for row in rows]
    minutes = sum(row["seconds"] for row in every) / len(every) / 60
    seeds = len(every) // len(runs)
    told = f" ({seeds} seeds each)" if seeds > 1 else ""
    config = begins.removesuffix("_")
    return (
        f"`{begins}NAME`",
        f"{_words(score)} {mean(list(each.values()))} over speakers left out: "
        f"{own}{told}",
        "not known",
        f"{best}: {_words(score)} {beside[best]}",
        "–",
        f"{minutes:.1f} on {machine(first)}",
        f"{first['metrics']['parameters']:,}",
        f"`python -m experiments.train --config {config} --data.speaker NAME`",
    )


def _merged(rows: Iterable[Row]) -> dict[str, list[float]]:
    """Test scores of all seeds, what the host found first."""
    merged: dict[str, list[float]] = {}
    for row in rows:
        test = row["metrics"]["test"]
        final = row["metrics"]["scores"]["test"]
        for score, value in (
            {n: v for n, v in final.items() if n not in test} | test
        ).items():
            merged.setdefault(score, []).append(value)
    return merged


def _chosen(
    application: str, found: Mapping[str, list[float]]
) -> dict[str, list[float]]:
    """The few that are shown, losses and counts only where there is nothing else."""
    names = [name for name in SHOWN.get(application, ()) if name in found]
    left = [n for n in found if n not in ("count", "tokens", *LOSSES)]
    return {n: found[n] for n in names or left[:MOST] or ("loss",)}


def _beside(row: Row, own: Mapping[str, Any]) -> str:
    """What the best of the baselines scores, by the first score that is shown."""
    found = {
        what: {n: v for n, v in _in_perplexity(splits["test"]).items() if n in own}
        for what, splits in row["metrics"].get("baselines", {}).items()
        if "test" in splits
    }
    for score in own:
        having = {what: scores for what, scores in found.items() if score in scores}
        if having:
            better = max if score.startswith(LARGER) or "accuracy" in score else min
            what = better(having, key=lambda name: having[name][score])
            return f"{what}: {_told(having[what])}"
    return ""


def _in_perplexity(scores: Mapping[str, float]) -> dict[str, float]:
    """A loss as perplexity, too, which counts only where that is shown."""
    more = {"perplexity": exp(scores["loss"])} if 0 < scores.get("loss", 0) < 50 else {}
    return {**more, **scores}


def _optimum(row: Row) -> Mapping[str, float]:
    """Best scores by name; a perplexity alone is a language model's."""
    found = row["metrics"].get("optimum")
    return found if isinstance(found, Mapping) else {}


def _value(each: list[float]) -> str:
    return str(mean(each)) if len(each) > 1 else rounded(each[0], 3)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _told(scores: Mapping[str, float]) -> str:
    return ", ".join(f"{_words(n)} {v:.3g}" for n, v in scores.items())
