"""How a command ends when its user made a mistake, or had enough: in one line."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from data_pipeline.errors import DataError
from experiments.config import fail
from experiments.files import RunError
from lm.config import ConfigError


@contextmanager
def user_errors() -> Iterator[None]:
    """Around the work of a command: one line instead of a traceback.

    Exit codes: 2 for a user's mistake (ConfigError, DataError, RunError), 130 for
    Ctrl-C, 141 where nobody reads the output any more (as in `| head`).
    """
    try:
        yield
        sys.stdout.flush()
    except (ConfigError, DataError, RunError) as error:
        fail(error)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:
        # Python would complain once more when it closes the pipe at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None
