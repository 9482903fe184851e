"""The three-minute tour, `make run`: train, evaluate, write, score, look back in time.

It trains the config `tour` on the embedded corpus, prints its perplexity beside an
n-gram model's on the same split, five sentences that it wrote and three that it
scored, and draws how far back its gradient reaches. No network is needed.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.config import load_named
from experiments.console.command_line import Options, command_line, user_errors
from experiments.console.printable import visible
from experiments.score.remarks import warning

if TYPE_CHECKING:
    from experiments.applications.language_model.trained import Trained

SENTENCES = (
    "Return the number of items in the list.",
    "Return the list of number in the items.",
    "Items the of return number list in the.",
)


@dataclass(frozen=True)
class Tour:
    """Which run the tour is of."""

    run_dir: str = ""
    """Directory of the run; by default a dated one under runs/."""
    config: str = "tour"
    """A file in experiments/configs/."""


def main(argv: Sequence[str] | None = None) -> None:
    """The command line; a user's mistake prints one line and exits with 2."""
    given = command_line(
        Tour,
        sys.argv[1:] if argv is None else argv,
        __doc__ or "",
        prog="python -m experiments.tour",
    )
    with user_errors():
        from experiments.train.session import train

        folder = Path(given.run_dir) if given.run_dir else None
        run_dir = train(load_named(given.config), Options(folder))
        if run_dir is None:
            raise SystemExit(3)
        tour(run_dir)


def tour(run_dir: Path) -> None:
    """Prints what a finished run's model can do; RUN/tour.txt keeps it."""
    lines = []
    for line in chapters(run_dir):
        print(line, flush=True)
        lines.append(line)
    (run_dir / "tour.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def chapters(run_dir: Path) -> Iterator[str]:
    """The tour's lines, one after another as they are found out."""
    from data_pipeline.dataset import prepare
    from experiments.train.trained import load_trained

    trained = load_trained(run_dir)
    dataset = prepare(trained.config.data)
    yield from heading(
        "Perplexity, beside an interpolated Kneser-Ney 4-gram of the same text"
    )
    yield from beside_ngram(run_dir, trained.config.model.cell, dataset)
    yield from heading("Five sentences that it wrote")
    yield from (f"  {visible(text)}" for text in written(trained))
    yield from heading("Three sentences that it scored: one set of words, three orders")
    yield from scored(trained)
    yield from heading("How far back its gradient reaches")
    yield reach(run_dir, trained, dataset)
    yield from heading("Next")
    yield f"the run is {run_dir}; try"
    python = ".venv/bin/python -m experiments."
    yield f"  {python}report {run_dir}"
    yield f"  {python}generate --run {run_dir} --prompt Return"
    yield f"  {python}score --run {run_dir} --split valid --per-token"
    yield f"  {python}train --config tour --model.cell tanh"
    yield f"  {python}train --help"


def heading(text: str) -> list[str]:
    """A line that stands out, after an empty one."""
    return ["", text, "─" * len(text)]


def beside_ngram(run_dir: Path, cell: str, dataset: Any) -> Iterator[str]:
    """The run's perplexities and a 4-gram's."""
    from experiments import ngram
    from experiments.run.files import read_json

    summary = read_json(run_dir / "summary.json")
    baseline = ngram.baseline(dataset, 4)
    for split in ("valid", "test"):
        ours, theirs = summary[split]["perplexity"], baseline[split]["perplexity"]
        unknown = dataset.corpus.facts["unknown_rate"][split]
        yield (
            f"  {split:5}   {cell} {ours:.2f}   4-gram {theirs:.2f}   "
            f"({ours / theirs - 1:+.1%})   with {unknown:.1%} unknown"
        )
        if said := warning(unknown):
            yield f"  warning: {said}"


def written(trained: "Trained", samples: int = 5) -> list[str]:
    """Sentences from the model, at a temperature a little below 1."""
    import jax

    from data_pipeline.vocabulary import UNK_ID
    from experiments.applications.language_model.writing import make_writer
    from lm.generate import Filters

    filters = Filters(temperature=0.8, banned=(UNK_ID,))
    write = make_writer(
        trained.config,
        trained.vocabulary,
        trained.model,
        filters=filters,
        samples=samples,
        max_tokens=40,
    )
    return write(trained.params, jax.random.key(0))


def scored(trained: "Trained") -> Iterator[str]:
    """Log-probability and perplexity of three sentences."""
    from experiments.applications.language_model.scoring import score_lines

    for sentence in score_lines(trained, SENTENCES):
        yield (
            f"  ln P = {-sentence.total:7.2f}   perplexity "
            f"{sentence.perplexity:7,.1f}   {sentence.text}{_unknown(sentence)}"
        )


def _unknown(sentence: Any) -> str:
    return f"   [unknown: {', '.join(sentence.oov)}]" if sentence.oov else ""


def reach(run_dir: Path, trained: "Trained", dataset: Any, lags: int = 40) -> str:
    """Draws the lag profile before and after training; the headline, in a sentence.

    Windows of the validation text, `lags` + 1 tokens long, each with one loss at its
    end; the figure is RUN/reach.png.
    """
    import jax

    from data_pipeline.windows import windows
    from experiments.applications.language_model.application import batch_of
    from experiments.figures import lag_profiles, save
    from experiments.train.keys import init_key
    from lm.gradflow.through_time import lag_profile

    text = windows(dataset.splits["valid"].ids, lags + 1, 64)
    model, lanes = trained.model, text.inputs_TB.shape[1]

    @jax.jit
    def measure(params):
        start = model.initial_state(params, lanes)
        return lag_profile(model.problem, params, start, batch_of(text))

    untrained = model.init(init_key(jax.random.key(trained.config.seed)))
    profiles = {
        "untrained": jax.device_get(measure(untrained)),
        "trained": jax.device_get(measure(trained.params)),
    }
    path = run_dir / "reach.png"
    curves = {name: p.normalised_LK[-1] for name, p in profiles.items()}
    save(lag_profiles(curves, f"{model.config.cell}, top layer"), path)
    horizons = {name: int(p.horizon_L[-1]) for name, p in profiles.items()}
    return (
        f"  {horizons['trained']} steps: so far back a token's loss still moves the "
        f"state by over 1 %\n  of what it moves the last one "
        f"(untrained: {horizons['untrained']} steps). The figure: {path}"
    )


if __name__ == "__main__":
    main()
