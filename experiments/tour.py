"""The three-minute tour, `make run`: train, evaluate, write, score, look back in time.

It trains the config `default` on the embedded corpus, prints its perplexity beside an
n-gram model's on the same split, five sentences that it wrote and three that it
scored, and draws how far back its gradient reaches. No network is needed.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from data_pipeline.errors import DataError
from experiments.config import Options, fail, load_named
from experiments.files import RunError
from experiments.train import train
from lm.config import ConfigError

SENTENCES = (
    "Return the number of items in the list.",
    "Return the list of number in the items.",
    "Items the of return number list in the.",
)


def main(argv: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.tour",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--run-dir", type=Path, help="default: a dated one under runs/")
    parser.add_argument("--config", default="default", help="default: %(default)s")
    given = parser.parse_args(sys.argv[1:] if argv is None else argv)
    try:
        run_dir = train(load_named(given.config), Options(given.run_dir))
        if run_dir is None:
            raise SystemExit(3)
        tour(run_dir)
    except (ConfigError, DataError, RunError) as error:
        fail(error)


def tour(run_dir: Path) -> None:
    """Prints and draws what a finished run's model can do."""
    from data_pipeline.dataset import prepare
    from experiments import ngram
    from experiments.files import read_json
    from experiments.trained import load_trained

    trained = load_trained(run_dir)
    dataset = prepare(trained.config.data)
    heading("Perplexity, beside an interpolated Kneser-Ney 4-gram of the same text")
    summary = read_json(run_dir / "summary.json")
    baseline = ngram.baseline(dataset, 4)
    for split in ("valid", "test"):
        ours, theirs = summary[split]["perplexity"], baseline[split]["perplexity"]
        print(
            f"{split:5}  {trained.config.model.cell} {ours:7.2f}   "
            f"4-gram {theirs:7.2f}   {ours / theirs - 1:+.1%}"
        )
    heading("Five sentences that it wrote")
    for text in written(trained):
        print(f"  {text}")
    heading("Three sentences that it scored: the same words, ever less in order")
    scored(trained)
    heading("How far back its gradient reaches")
    print(reach(run_dir, trained, dataset))
    heading("Next")
    print(f"the run is {run_dir}; try")
    print(f"  .venv/bin/python -m experiments.generate --run {run_dir} --prompt Return")
    print(f"  .venv/bin/python -m experiments.score --run {run_dir} --per-token")
    print("  .venv/bin/python -m experiments.train --model.cell tanh")
    print("  .venv/bin/python -m experiments.train --help")


def heading(text: str) -> None:
    """A line that stands out, after an empty one."""
    print(f"\n{text}\n{'─' * len(text)}", flush=True)


def written(trained: Any, samples: int = 5) -> list[str]:
    """Sentences from the model, at a temperature a little below 1."""
    import jax

    from data_pipeline.vocabulary import UNK_ID
    from experiments.generate import make_writer
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


def scored(trained: Any) -> None:
    """Prints log-probability and perplexity of three sentences."""
    from experiments.score import score_lines

    for sentence in score_lines(trained, SENTENCES):
        row = sentence.record(per_token=False)
        print(
            f"  ln P = {row['log_probability']:8.2f}   perplexity "
            f"{row['perplexity']:9,.1f}   {sentence.text}"
        )


def reach(run_dir: Path, trained: Any, dataset: Any, lags: int = 40) -> str:
    """Draws the lag profile before and after training; the headline, in a sentence.

    Windows of the validation text, `lags` + 1 tokens long, each with one loss at its
    end; the figure is RUN/reach.png.
    """
    import jax
    import numpy as np

    from experiments.figures import draw_lag_profiles
    from lm.gradflow.through_time import lag_profile

    ids = dataset.splits["valid"].ids.astype(np.int32)
    lanes = min(64, (len(ids) - 1) // (lags + 1))
    windows = ids[1 : lanes * (lags + 1) + 1].reshape(lanes, lags + 1).T
    before = ids[: lanes * (lags + 1)].reshape(lanes, lags + 1).T
    model = trained.model
    measure = jax.jit(
        lambda params: lag_profile(
            model, params, before, windows, model.initial_state(params, lanes)
        )
    )
    seed = jax.random.fold_in(jax.random.key(trained.config.seed), 2**32 - 1)
    profiles = {
        "untrained": jax.device_get(measure(model.init(seed))),
        "trained": jax.device_get(measure(trained.params)),
    }
    path = run_dir / "reach.png"
    curves = {name: p.normalised_LK[-1] for name, p in profiles.items()}
    draw_lag_profiles(path, curves, f"{model.config.cell}, top layer")
    horizons = {name: int(p.horizon_L[-1]) for name, p in profiles.items()}
    return (
        f"A token's loss moves the state {horizons['trained']} steps back by over"
        f"\n1 % of what it moves the last state (untrained: {horizons['untrained']} "
        f"steps): {path}"
    )


if __name__ == "__main__":
    main()
