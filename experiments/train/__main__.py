"""Train a recurrent network; the same command again resumes it.

What is trained is the config's: a language model, or a network on a memory task.

A run is a pure function of its config and seed. Ctrl-C, SIGTERM or SIGHUP (a closed
terminal) saves and leaves; the run goes on, bit for bit, when the same command is given
again. Lines that nobody can read any more are left out; the run goes on without them.
"""

import sys

from experiments.console.command_line import parse, user_errors


def main(argv: list[str] | None = None) -> None:
    """The command line. Exit codes: 0 done, 2 a user's mistake or a full disk, 3
    interrupted and saved, 4 another process of the group was lost; 128 plus the number
    of a signal that came before there was anything to save, or a second time."""
    config, options = parse(sys.argv[1:] if argv is None else argv, __doc__ or "")
    with user_errors(lasting=True):
        if options.dry_run:
            from experiments.train.dry_run import dry_run

            dry_run(config, options.again)
            return

        from experiments.train.session import train

        if train(config, options) is None:
            raise SystemExit(3)


if __name__ == "__main__":
    main()
