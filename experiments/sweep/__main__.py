"""Sweep a space of configs: many runs, searched, shared between workers, resumed.

SPACE is a ready space or a file (.json, .py) of dotted config fields:

    {"config": "tutorial_part4",
     "model.cell": {"choice": ["tanh", "gru"]},
     "optim.learning_rate": {"loguniform": [0.001, 1.0], "points": 7}}

A .py file is a program, which is run, with --dry-run too: give only one that you trust.
experiments/sweep/README.md says all that may stand in a space. Every trial is an
ordinary run directory, and its value the mean over its seeds of the best validation
loss. Ctrl-C saves and leaves; the same command with --resume goes on. The same command
with the same --storage on another machine shares the trials.
"""

import sys

from experiments.console.command_line import command_line, user_errors
from experiments.sweep.options import Sweep
from experiments.sweep.ready import ready_spaces


def main(argv: list[str] | None = None) -> None:
    """The command line. Exit codes: 0 done, 1 some trials failed, 2 a user's mistake,
    3 interrupted."""
    options = command_line(
        Sweep,
        sys.argv[1:] if argv is None else argv,
        f"{__doc__}\nReady spaces: {', '.join(ready_spaces())}.",
        prog="python -m experiments.sweep",
        pairs=False,
    )
    with user_errors(lasting=True):
        from experiments.sweep.session import run

        code = run(options)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
