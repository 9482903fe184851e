"""Result rows: what was measured, by which command, on what, in which versions."""

from pathlib import Path
from typing import Any

from experiments.run.files import read_json, write_json_atomic
from experiments.run.provenance import git_state, hardware, versions

RESULTS = Path(__file__).parent


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


def rows() -> dict[str, dict[str, Any]]:
    """All committed rows by name."""
    return {path.stem: read_json(path) for path in sorted(RESULTS.glob("*.json"))}


def machine(row: dict[str, Any]) -> str:
    """The hardware of a row in a few words."""
    found = row["hardware"]
    devices = [d for d in found.get("devices", []) if d != "cpu"]
    cores = found["cores"]
    return devices[0] if devices else f"{cores} core{'s' if cores > 1 else ''}"
