"""Result rows: what was measured, by which command, on what, in which versions.

`experiments/results/NAME.json` is one row. Rows are written by the command that
measured them and committed; the README's tables are generated from them.

    python -m experiments.records RUN NAME     a row from a finished run's summary
    python -m experiments.records --readme     the README's tables from the rows
"""

import argparse
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from experiments.config import fail
from experiments.files import (
    ROOT,
    RunError,
    git_state,
    hardware,
    read_json,
    versions,
    write_json_atomic,
    write_text_atomic,
)

RESULTS = Path(__file__).parent / "results"
Row = dict[str, Any]


def write_row(
    name: str, command: str, seconds: float, metrics: dict[str, Any]
) -> dict[str, Any]:
    """Writes results/NAME.json with this machine and these versions; the row."""
    state = git_state() or {}
    row = {
        "name": name,
        "command": command,
        "commit": state.get("commit", "unknown")[:12],
        "hardware": hardware(),
        "versions": versions(),
        "seconds": seconds,
        "metrics": metrics,
    }
    RESULTS.mkdir(exist_ok=True)
    write_json_atomic(RESULTS / f"{name}.json", row)
    return row


def row_of_run(run: Path, name: str, baseline: int = 0) -> dict[str, Any]:
    """Writes a row from a run's own records: its command, machine and summary.

    baseline: n of an n-gram model of the same splits to put beside; 0: none.
    """
    record = read_json(run / "config.json")
    summary = read_json(run / "summary.json")
    if baseline:
        from data_pipeline.dataset import prepare
        from experiments import ngram
        from experiments.run import config_of

        dataset = prepare(config_of(record, run).data)
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


def rows() -> dict[str, dict[str, Any]]:
    """All committed rows by name."""
    return {path.stem: read_json(path) for path in sorted(RESULTS.glob("*.json"))}


def machine(row: dict[str, Any]) -> str:
    """The hardware of a row in a few words."""
    found = row["hardware"]
    devices = [d for d in found.get("devices", []) if d != "cpu"]
    cores = found["cores"]
    return devices[0] if devices else f"{cores} core{'s' if cores > 1 else ''}"


def markdown(head: Iterable[str], lines: Iterable[Iterable[Any]]) -> str:
    """A Markdown table, ended by a newline."""
    head = list(head)
    rows = [head, ["---"] * len(head), *([str(c) for c in line] for line in lines)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def measured(row: Row) -> str:
    """Command, duration and machine."""
    return f"`{row['command']}`, {row['seconds'] / 60:.0f} min on {machine(row)}"


def with_tables(readme: str, tables: dict[str, str]) -> str:
    """The README's text with each generated table put between its two marks."""
    for name, table in tables.items():
        begin, end = f"<!-- table: {name} -->\n", f"<!-- end: {name} -->"
        if begin not in readme or end not in readme:
            raise RunError(f"README.md has no marks for the table {name!r}: {begin}")
        head, _, rest = readme.partition(begin)
        tail = rest.partition(end)[2]
        readme = f"{head}{begin}{table}{end}{tail}"
    return readme


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
    parser.add_argument("--readme", action="store_true", help="write the tables")
    given = parser.parse_args(sys.argv[1:] if argv is None else argv)
    try:
        if given.readme:
            from experiments.tables import tables
            from experiments.tree import tree

            path = ROOT / "README.md"
            text = path.read_text(encoding="utf-8")
            generated = {**tables(rows()), "tree": tree()}
            write_text_atomic(path, with_tables(text, generated))
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
