"""Runs read valid and test: all is chosen on valid, and test is read once."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from data_pipeline.types import TokenArray
from experiments import ngram
from experiments.applications.language_model.reading import setting_of
from experiments.applications.language_model.segment_passes import Pass, Reader
from experiments.applications.language_model.segments import beginning
from experiments.applications.language_model.trained import Trained
from experiments.evaluate import per_token
from experiments.evaluate.options import Evaluate
from experiments.evaluate.rows import (
    Split,
    Tuned,
    components,
    mixture,
    record,
    rows_for,
    tuned,
    wanted,
)
from experiments.evaluate.tuning import climb, edges
from experiments.run.files import RunError, check_place
from experiments.train.trained import load_trained, splits_of_run
from lm.adaptive.dynamic import Rule, Statistics
from lm.losses import perplexity
from lm.train import count_parameters

VALID, TEST = "valid", "test"
Tell = Callable[[str], None]


class Run(NamedTuple):
    """A run that reads: its programs, and its corpus."""

    name: str
    trained: Trained
    splits: dict[str, TokenArray]
    reader: Reader


class Adapting(NamedTuple):
    """What dynamic evaluation of a run needs, and how it was found, as JSON."""

    statistics: Statistics
    rule: Rule
    told: dict[str, Any]


def evaluate(options: Evaluate, tell: Tell = lambda words: None) -> dict[str, Any]:
    """All that the options ask for, as JSON: "rows", and what was tuned how.

    tell  what is under way, in words.

    Raises:
      RunError: for a run that is no language model's, runs that do not read the same
        tokens, or a file of probabilities of another text.
    """
    if options.out is not None:
        check_place(options.out)
    runs = loaded(options.run, tell)
    text = runs[0].splits
    names = [VALID] if options.split == VALID else [VALID, TEST]
    read = {s: runs[0].trained.vocabulary.decode(text[s].ids) for s in names}
    mixes = [per_token.read(given, read) for given in options.mix]
    others = {s: {m.name: m.nats[s] for m in mixes} for s in names}
    if options.ngram:
        _add_ngram(others, text, runs[0].trained, options.ngram)
    adapting = {r.name: _adapting(r, options, tell) for r in runs if options.dynamic}
    valid = Split(_valid_passes(runs, options, adapting), others[VALID])
    rows = rows_for(
        options.run,
        tuple(others[VALID]),
        tempered=options.temperatures != (1.0,),
        cached=options.cache > 0,
        dynamic=options.dynamic,
    )
    tell("weights")
    found = [tuned(row, valid, options.temperatures, options.θs) for row in rows]
    splits = {VALID: valid}
    if TEST in names:
        passes = _test_passes(runs, options, adapting, found)
        splits[TEST] = Split(passes, others[TEST])
    if options.out is not None:
        _write(options, read, found, splits)
    return {
        "rows": [record(each, splits) for each in found],
        "tokens": {name: len(words) for name, words in read.items()},
        "models": {run.name: _told(run.trained) for run in runs},
        "dynamic": {name: own.told for name, own in adapting.items()},
        "options": _asked(options),
    }


def loaded(given: Sequence[str], tell: Tell) -> list[Run]:
    """The runs, all of one text, cut and bounded alike.

    Raises:
      RunError: naming the first that differs from the first run, and in what.
    """
    runs: list[Run] = []
    for name in given:
        trained = load_trained(name)
        run = Run(name, trained, splits_of_run(name, trained), Reader(trained, tell))
        if runs and (what := _difference(runs[0], run)):
            raise RunError(
                f"{name} and {runs[0].name} cannot be mixed, since they have {what}: "
                "give runs that were trained on one corpus with one tokenizer"
            )
        runs.append(run)
    return runs


def _told(trained: Trained) -> dict[str, Any]:
    """A model in a few facts."""
    return {
        "config": trained.config.name,
        "step": trained.step,
        "parameters": count_parameters(trained.params),
        "vocabulary": trained.vocabulary.size,
    }


def _difference(one: Run, other: Run) -> str:
    """What keeps two runs from being mixed, token by token; or ""."""
    theirs, ours = other.trained.vocabulary, one.trained.vocabulary
    if theirs.size != ours.size:
        return f"different vocabularies, of {theirs.size:,} and {ours.size:,} tokens"
    for number, (a, b) in enumerate(zip(theirs.tokens, ours.tokens, strict=True)):
        if a != b:
            return f"different vocabularies: token {number} is {a!r} and {b!r}"
    if theirs != ours:
        return "vocabularies of different texts"
    settings = [
        setting_of(r.trained.config, r.trained.vocabulary) for r in (one, other)
    ]
    if settings[0] != settings[1]:
        return "different boundaries of a text"
    for split in (VALID, TEST):
        if not np.array_equal(one.splits[split].ids, other.splits[split].ids):
            return f"different texts for {split}"
    return ""


def _add_ngram(others, text, trained: Trained, order: int) -> None:
    """Puts the nats of a Kneser–Ney n-gram of train beside the other components."""
    found = ngram.nats(text, trained.vocabulary.size, order, tuple(others))
    for split, known in others.items():
        known[f"{order}-gram"] = found[split]


def _valid_passes(runs, options: Evaluate, adapting):
    """Of every run, by all temperatures and θs that there are to choose from."""
    temperatures = tuple(sorted({1.0, *options.temperatures}))
    found: dict[tuple[str, bool], Pass] = {}
    for run in runs:
        for own in _ways(run, adapting):
            found[run.name, own is not None] = _pass(
                run, VALID, options, temperatures, options.θs, own
            )
    return found


def _test_passes(runs, options: Evaluate, adapting, found: Sequence[Tuned]):
    """The same of test, by what was chosen alone."""
    passes: dict[tuple[str, bool], Pass] = {}
    for run in runs:
        for own in _ways(run, adapting):
            temperatures, θs = wanted(found, run.name, own is not None)
            passes[run.name, own is not None] = _pass(
                run, TEST, options, temperatures, θs, own
            )
    return passes


def _ways(run: Run, adapting: Mapping[str, Adapting]) -> list[Adapting | None]:
    """As it is, and adapting where that is asked for."""
    return [None, *([adapting[run.name]] if run.name in adapting else [])]


def _pass(
    run: Run,
    split: str,
    options: Evaluate,
    temperatures: Sequence[float],
    θs: Sequence[float],
    own: Adapting | None,
    most: int = 0,
) -> Pass:
    """A run reads a split, or its first `most` tokens, from the trained parameters, the
    initial state and an empty cache."""
    tokens = beginning(run.splits[split], most)
    segments = run.reader.segments(tokens, options.lanes, options.segment)
    size = options.cache if θs else 0
    if own is None:
        return run.reader.fixed(segments, temperatures, size, θs)
    return run.reader.dynamic(
        segments, temperatures, size, θs, own.statistics, own.rule
    )


def _adapting(run: Run, options: Evaluate, tell: Tell) -> Adapting:
    """Statistics of the run's gradients, and η and λ by the beginning of valid."""
    statistics = run.reader.statistics(
        run.splits["train"], options.segment, options.statistics_tokens, options.mean
    )
    grids = {"rate": options.rates, "decay": options.decays}
    begin = dict(zip(grids, options.begin, strict=True))

    def loss(values: dict[str, float]) -> float:
        rule = Rule(values["rate"], values["decay"], options.epsilon)
        own = Adapting(statistics, rule, {})
        most = options.valid_tokens
        nats = _pass(run, VALID, options, (1.0,), (), own, most).model[1.0]
        tell(f"η {rule.rate:g}, λ {rule.decay:g}: {perplexity(nats.mean()):.2f}")
        return float(np.mean(nats, dtype=np.float64))

    if len(options.rates) == len(options.decays) == 1:
        values, tried = begin, []
    else:
        values, _, tried = climb(grids, begin, loss)
    told = {
        **values,
        "epsilon": options.epsilon,
        "mean": options.mean,
        "mean_rms": float(statistics.mean),
        "edges": edges(grids, values),
        "tokens": len(beginning(run.splits[VALID], options.valid_tokens).ids),
        "tried": [{**each, "valid": perplexity(nats)} for each, nats in tried],
    }
    rule = Rule(values["rate"], values["decay"], options.epsilon)
    return Adapting(statistics, rule, told)


def _asked(options: Evaluate) -> dict[str, Any]:
    """The options that change numbers, grids in full."""
    asked = {f.name: getattr(options, f.name) for f in dataclasses.fields(options)}
    for name in ("out", "jsonl", "temperature"):
        del asked[name]
    grids = {"theta": options.θs, "rate": options.rates, "decay": options.decays}
    return asked | grids


def _write(options: Evaluate, read, found: Sequence[Tuned], splits) -> None:
    """Components of the last row, then every row: `--mix` takes the last column."""
    last = found[-1]
    columns: dict[str, dict[str, np.ndarray]] = {}
    if len(last.weights) > 1:
        for name in last.weights:
            columns[f"component: {name}"] = {
                s: components(last.row, last.values, split)[name]
                for s, split in splits.items()
            }
    for each in found:
        columns[each.row.name] = {
            s: mixture(each, split) for s, split in splits.items()
        }
    assert options.out is not None
    per_token.write(options.out, read, columns)
