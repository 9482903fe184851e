"""Measure; each benchmark writes one row to experiments/results/.

Run it on a quiet machine. Medians, minima and paired ratios are given.
"""

import dataclasses
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tyro.conf import Positional

from experiments.benchmark import BENCHMARKS, load
from experiments.console.command_line import command_line, user_errors
from experiments.peers import SUITES
from lm.config import ConfigError, at_least, unknown


@dataclass(frozen=True)
class Measure:
    """Which benchmark, and how."""

    name: Positional[str]
    """One of those above."""
    dry: bool = False
    """Print, write no row."""
    megabytes: int = 1000
    """`data`: size of the text that is prepared."""
    tokenizer: str = "words"
    """`data`: how the text is cut."""
    corpus: str = "movie_reviews"
    """`reviews`, `pretrained`: the folder with rt-polarity's two files."""
    folds: int = 3
    """`pretrained`: how many of the ten."""
    application: str = "gap"
    """`variants`: of which."""
    suite: str = "lm"
    """`peers`: lm, recurrence, score, generate, gradflow or data."""
    run: tuple[str, ...] = ("runs/ptb",)
    """`adaptation`: directory of the run that reads; `blimp`: those of several."""
    pairs: str = "blimp"
    """`blimp`: the folder with its files of JSON lines."""

    def __post_init__(self):
        if self.name not in BENCHMARKS:
            raise ConfigError(unknown("benchmark", self.name, BENCHMARKS))
        at_least("--megabytes", self.megabytes, 1)
        at_least("--folds", self.folds, 1)
        if self.suite not in SUITES:
            raise ConfigError(unknown("suite", self.suite, SUITES))
        if not self.run or len(set(self.run)) < len(self.run):
            raise ConfigError(
                f"--run is {' '.join(self.run) or 'empty'}: name each run once"
            )


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    words = sys.argv[1:] if argv is None else argv
    prog = "python -m experiments.benchmark"
    given = command_line(Measure, words, about(), prog=prog, pairs=False)
    with user_errors():
        from experiments.figures.style import save
        from experiments.results.rows import RESULTS, portable, write_row
        from experiments.train.allocator import keep_memory

        keep_memory()
        benchmark, fields = load(given.name), dataclasses.asdict(given)
        options = {name: fields[name] for name in benchmark.options}
        began = time.perf_counter()
        metrics = benchmark.measure(**options)
        seconds = round(time.perf_counter() - began, 1)
        for name, value in metrics.items():
            print(f"{name}: {value}")
        if not given.dry:
            command = f"{prog} {portable([given.name, *words_of(options)])}"
            row = benchmark.row.format(**fields, on=on_device())
            write_row(row, command, seconds, metrics)
            if benchmark.figure is not None:
                save(benchmark.figure(metrics), RESULTS / f"{row}.png")


def on_device() -> str:
    """The end of a row's name that says where it was measured."""
    import jax

    device = jax.default_backend()
    return "" if device == "cpu" else f"_{device}"


def words_of(options: dict[str, Any]) -> Iterator[str]:
    """Options as one would type them; of a path from the root only its end."""
    for name, value in options.items():
        yield f"--{name}"
        for one in value if isinstance(value, tuple) else (value,):
            path = Path(str(one))
            yield f"path/to/{path.name}" if path.is_absolute() else str(one)


def about() -> str:
    """The command's description, with all benchmarks."""
    lines = [f"    {name:12} {what}" for name, what in BENCHMARKS.items()]
    return "\n".join([__doc__ or "", *lines])


if __name__ == "__main__":
    main()
