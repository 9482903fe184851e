"""Result rows: what was measured, by which command, on what, in which versions.

`experiments/results/NAME.json` is one row. It is written by the command that measured
it, through `write_row`, and committed; tables are made of rows alone.
"""

import shlex
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from experiments.run.files import read_json, write_json_atomic
from experiments.run.provenance import git_state, hardware, versions

RESULTS = Path(__file__).parent

Row = dict[str, Any]


def write_row(
    name: str,
    command: str,
    seconds: float,
    metrics: dict[str, Any],
    origin: dict[str, Any] | None = None,
    resumed: int = 0,
    folder: Path | None = None,
) -> Row:
    """Writes results/NAME.json; the row.

    Args:
      origin: {"git", "hardware", "versions"} of where and with what it was measured;
        None: here and now.
      resumed: how often the run was resumed.
      folder: in place of experiments/results.
    """
    if origin is None:
        origin = {"git": git_state(), "hardware": hardware(), "versions": versions()}
    row = {
        "name": name,
        "command": command,
        "commit": (origin["git"] or {}).get("commit", "unknown")[:12],
        "hardware": origin["hardware"],
        "versions": origin["versions"],
        "seconds": seconds,
        "metrics": metrics,
    }
    if resumed:
        row["resumed"] = resumed
    keep_row(row, folder)
    return row


def keep_row(row: Row, folder: Path | None = None) -> None:
    """Writes a row under its name into experiments/results, or another folder."""
    folder = folder or RESULTS
    folder.mkdir(exist_ok=True)
    write_json_atomic(folder / f"{row['name']}.json", row)


def rows() -> dict[str, Row]:
    """All committed rows by name."""
    return {path.stem: row for path, row in row_files("*")}


def row_files(pattern: str, folder: Path | None = None) -> list[tuple[Path, Row]]:
    """Rows and their files, by names that fit a pattern as of `glob`, from
    experiments/results or another folder."""
    paths = sorted((folder or RESULTS).glob(f"{pattern}.json"))
    return [(path, read_json(path)) for path in paths]


def machine(row: Row) -> str:
    """The hardware of a row in a few words."""
    found = row["hardware"]
    devices = [d for d in found.get("devices", []) if d != "cpu"]
    cores = found["cores"]
    return devices[0] if devices else f"{cores} core{'s' if cores > 1 else ''}"


def portable(
    words: Sequence[str], without: Collection[str] = (), switches: Collection[str] = ()
) -> str:
    """A command as anyone would type it: without what only says where it was run.

    Args:
      without: options that go with their value, `--run-dir` for one.
      switches: options without a value that go.
    """
    kept, rest = [], iter(words)
    for word in rest:
        if word in without:
            next(rest, None)
        elif word not in switches and word.partition("=")[0] not in without:
            kept.append(word)
    return shlex.join(kept)


def shown(value: Any, digits: int = 6) -> str:
    """A field's value as one would type it, floats to so many digits."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "–"
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value) or "–"
