"""What a sweep makes as small as it can, in one place."""

from dataclasses import dataclass
from typing import Any

from experiments.applications import load
from experiments.config import RunConfig


@dataclass(frozen=True)
class Monitor:
    """A score of the validation split.

    score   its name in rows and summaries.
    label   what figures call it; `unit` what tables do.
    larger  whether a larger one is better: it is negated here, and nowhere else.
    nats    whether it is nats per token, so that its exponential is a perplexity.
    """

    score: str = "nats_per_token"
    label: str = "loss, nats per token"
    unit: str = "nats"
    larger: bool = False
    nats: bool = True

    def of_evaluation(self, row: dict[str, Any]) -> float:
        """The value to be made small, of an evaluation's row of metrics.jsonl."""
        return self._signed(row[f"valid_{self.score}"])

    def of_summary(self, summary: dict[str, Any], split: str = "valid") -> float:
        """The value to be made small, of a run's summary.json."""
        return self._signed(summary[split][self.score])

    def _signed(self, value: Any) -> float:
        return -float(value) if self.larger else float(value)


def monitor_of(config: RunConfig) -> Monitor:
    """The score that the application of a config goes by."""
    application = load(config.application)
    if application.nats and application.monitor == "loss":
        return Monitor()
    name = application.monitor
    score = name.removeprefix("-")
    label = score.replace("_", " ")
    return Monitor(score, label, name, larger=score != name, nats=False)
