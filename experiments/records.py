"""Result rows: what was measured, by which command, on what, in which versions.

`experiments/results/NAME.json` is one row. Rows are written by the command that
measured them and committed; the READMEs' tables are generated from them.

    python -m experiments.records RUN NAME     a row from a finished run's summary
    python -m experiments.records --readme     the READMEs' tables and lists of files
"""

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

from experiments.console.command_line import fail
from experiments.results.rows import RESULTS
from experiments.run.files import (
    RunError,
    read_json,
    write_json_atomic,
    write_text_atomic,
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
        from experiments.run.record import config_of

        dataset = prepare(config_of(record, run, Config).data)
        summary["baseline"] = ngram.baseline(dataset, baseline)
    sessions = [record, *record["resumed"]]
    metrics = {
        **{split: summary[split] for split in ("valid", "test")},
        **{k: summary[k] for k in ("tokens_per_second", "steps", "parameters")},
        **{k: summary[k] for k in ("baseline", "optimum") if k in summary},
    }
    row = {
        "name": name,
        "command": portable(record["command"]),
        "commit": (record["git"] or {}).get("commit", "unknown")[:12],
        "hardware": record["hardware"],
        "versions": record["versions"],
        "seconds": summary["seconds"],
        "metrics": metrics,
    }
    if len(sessions) > 1:
        row["resumed"] = len(sessions) - 1
    RESULTS.mkdir(exist_ok=True)
    write_json_atomic(RESULTS / f"{name}.json", row)
    return row


def portable(command: str) -> str:
    """The command without the directory that its run happened to be in."""
    words = command.split()
    while "--run-dir" in words:
        at = words.index("--run-dir")
        del words[at : at + 2]
    return " ".join(words)


def main(argv: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.records",
        description=(__doc__ or "").partition("\n\n")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", nargs="?", type=Path, help="a finished run's directory")
    parser.add_argument("name", nargs="?", help="the row's name")
    parser.add_argument(
        "--baseline",
        type=int,
        default=0,
        metavar="N",
        help="put an N-gram model's perplexity on the same splits beside it",
    )
    parser.add_argument(
        "--readme", action="store_true", help="write the tables and lists of files"
    )
    given = parser.parse_args(sys.argv[1:] if argv is None else argv)
    try:
        if given.readme:
            from experiments.readme.pages import generated

            for path, text in generated().items():
                write_text_atomic(path, text)
        elif given.run and given.name:
            row = row_of_run(given.run, given.name, given.baseline)
            print(f"results/{row['name']}.json written")
            for name, kept in (("tour.txt", f"{given.name}.txt"), ("reach.png",) * 2):
                if (given.run / name).exists():
                    shutil.copy(given.run / name, RESULTS / kept)
        else:
            parser.error("give RUN and NAME, or --readme")
    except RunError as error:
        fail(error)


if __name__ == "__main__":
    main()
