"""What a trained run answers for new input, by its application.

Input is a line each, or a file that is one input, such as a WAV. A language model
answers with the score of each line, as `experiments.score --independent` has it; a
network on a memory task, whose lines are sequences such as `3 0 5 1 2`, with what it
was taught to answer at their end; one that reads signals, with the class of each; one
on speech, with what each sound says.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.console.command_line import command_line, user_errors
from experiments.console.printable import json_line, visible
from lm.checks import at_least


@dataclass(frozen=True)
class Predict:
    """Which run answers what."""

    run: str
    """Directory of the run whose best checkpoint answers."""
    input: str = "-"
    """A file of input, a line each; `-` is standard input."""
    beam: int | None = None
    """Hypotheses that a beam search keeps, where the run writes its answers; by default
    the likeliest symbol is taken at each step (greedy search)."""
    jsonl: bool = False
    """Print a JSON object a line."""

    def __post_init__(self):
        if self.beam is not None:
            at_least("--beam", self.beam, 1)


def main(argv: Sequence[str] | None = None) -> None:
    """The command line; a user's mistake prints one line and exits with 2."""
    options = command_line(
        Predict,
        sys.argv[1:] if argv is None else argv,
        __doc__ or "",
        prog="python -m experiments.predict",
        pairs=False,
    )
    with user_errors():
        for record in predict(options):
            print(json_line(record) if options.jsonl else visible(told(record)))


def predict(options: Predict) -> Iterator[dict[str, Any]]:
    """The answers, a record a line of input.

    Raises:
      RunError: where there is no run, or one that answers nothing.
    """
    from experiments.applications.restored import application_of, restore_best
    from experiments.run.directory import read_record
    from experiments.run.files import RunError

    directory, record = read_record(options.run)
    application = application_of(record)
    if application.predict is None:
        name = application.config.application
        raise RunError(f"{directory} is a run of {name!r}, which answers no new input")
    if options.beam is None:
        return application.predict(restore_best(options.run), options.input)
    if not application.searches:
        name = application.config.application
        raise RunError(
            f"--beam is {options.beam}, but a run of {name!r} chooses among few "
            "answers and searches none: leave it out"
        )
    return application.predict(restore_best(options.run), options.input, options.beam)


def told(record: dict[str, Any]) -> str:
    """A record in a line: its numbers and words, then its text."""
    shown = {k: v for k, v in record.items() if isinstance(v, int | float | str)}
    words = [
        f"{k} {v:.4f}" if isinstance(v, float) else f"{k} {v}"
        for k, v in shown.items()
        if k != "text"
    ]
    return "  ".join([*words, str(record.get("text", ""))])


if __name__ == "__main__":
    main()
