"""What listens to runs in training.

A callback changes nothing in a run but by returning True, which ends it there, neither
saved nor summed up; it can be gone on with later. An exception ends everything.
"""

from typing import Any


class Callback:
    """Does nothing. `run` is an `experiments.train.run_state.RunState`; what is true of
    it at a call is said below.

    every  where above 0, `taken` is called at multiples of so many steps at least, and
           otherwise wherever is convenient.
    """

    every = 0

    def begun(self, run: Any) -> None:
        """Before the run's first step in this process; resumed ones at `run.at`."""

    def taken(self, run: Any) -> None:
        """A step was handed to the device: `run.params()` are those after it, its
        numbers are not known yet. Once before the first step, too."""

    def stepped(self, run: Any, step: int, row: dict[str, Any]) -> bool | None:
        """The numbers of a step are there: `row` is what metrics.jsonl has."""

    def judged(self, run: Any, row: dict[str, Any]) -> bool | None:
        """After an evaluation on the validation split: `run.at.valid` is the score that
        the application looks at, smaller being better."""

    def saving(self, run: Any) -> None:
        """Before a checkpoint."""

    def over(self, run: Any) -> None:
        """The run has come to its end and is saved, but not summed up yet."""

    def ended(self, run: Any, outcome: Any) -> None:
        """The run's `Outcome`; its directory is open still."""

    def close(self) -> None:
        """After all runs, whatever became of them."""
