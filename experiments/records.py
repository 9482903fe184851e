"""A row of experiments/results/ from a finished run, and the READMEs from all rows.

    python -m experiments.records RUN NAME     a row from a finished run's summary
    python -m experiments.records --readme     the READMEs' tables and lists of files

A row is a JSON file; all tables are made of rows alone.
"""

import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tyro.conf import Positional

from data_pipeline.paths import user_path
from experiments.console.command_line import command_line, user_errors
from experiments.results import rows
from experiments.run.files import read_json, write_text_atomic
from lm.config import ConfigError, at_least

KEPT = ("valid", "test", "scores", "tokens_per_second", "steps", "parameters")
KEPT += ("baseline", "baselines", "optimum", "chosen")


@dataclass(frozen=True)
class Record:
    """What is recorded."""

    run: Positional[str] = ""
    """A finished run's directory."""
    name: Positional[str] = ""
    """The row's name."""
    baseline: int = 0
    """Put an n-gram model's perplexity on the same splits beside it, of this order; 0:
    none."""
    readme: bool = False
    """Write the READMEs' tables and lists of files instead."""

    def __post_init__(self):
        at_least("--baseline", self.baseline, 0)
        if (self.run != "", self.name != "") != (not self.readme, not self.readme):
            raise ConfigError("give RUN and NAME, or --readme alone")
        if self.name and not re.fullmatch(r"[\w-]+", self.name):
            raise ConfigError(
                f"the row's name is {self.name!r}: must be of letters, digits, _ and -"
            )


def row_of_run(run: Path, name: str, baseline: int = 0) -> dict[str, Any]:
    """Writes a row from a run's own records: its command, machine and summary.

    baseline: n of an n-gram model of the same splits to put beside; 0: none.
    """
    record = read_json(run / "config.json")
    summary = read_json(run / "summary.json")
    if baseline:
        from data_pipeline.dataset import prepare
        from experiments import ngram
        from experiments.config import Config
        from experiments.run.record import check_same, config_of, text_of

        config = config_of(record, run, Config)
        dataset = prepare(config.data)
        check_same(run, record, config, text_of(dataset))
        summary["baseline"] = ngram.baseline(dataset, baseline)
    command = rows.portable(shlex.split(record["command"]), without=("--run-dir",))
    metrics = {key: summary[key] for key in KEPT if key in summary}
    return rows.write_row(
        name, command, summary["seconds"], metrics, record, len(record["resumed"])
    )


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    given = command_line(
        Record,
        sys.argv[1:] if argv is None else argv,
        __doc__ or "",
        prog="python -m experiments.records",
        pairs=False,
    )
    with user_errors():
        if given.readme:
            from experiments.readme.pages import generated

            for path, text in generated().items():
                write_text_atomic(path, text)
            return
        run = user_path(given.run, "RUN")
        row = row_of_run(run, given.name, given.baseline)
        print(f"results/{row['name']}.json written")
        for file, kind in (("tour.txt", "txt"), ("reach.png", "png")):
            if (run / file).exists():
                shutil.copy(run / file, rows.RESULTS / f"{given.name}.{kind}")


if __name__ == "__main__":
    main()
