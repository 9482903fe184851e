import sys
from typing import TYPE_CHECKING

from experiments.console.command_line import parse, user_errors

if TYPE_CHECKING:
    pass
from experiments.train.session import train


def main(argv: list[str] | None = None) -> None:
    """The command line. Exit codes: 0 done, 2 a user's mistake, 3 interrupted, 4
    another process of the group was lost."""
    config, options = parse(sys.argv[1:] if argv is None else argv, __doc__ or "")
    with user_errors():
        if options.dry_run:
            from experiments.train.dry_run import dry_run

            dry_run(config)
        elif train(config, options) is None:
            raise SystemExit(3)
