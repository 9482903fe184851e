"""What benchmarks that train runs share."""

from pathlib import Path
from typing import Any

from experiments.config import RunConfig
from experiments.console.command_line import Options
from experiments.run.files import RunError, read_json
from experiments.train.session import train


def trained(config: RunConfig, run: Path) -> dict[str, Any]:
    """Trains; the run's summary. RunError where it was interrupted."""
    if train(config, Options(run), ()) is None:
        raise RunError(f"{run.name} was interrupted: begin again")
    return read_json(run / "summary.json")
