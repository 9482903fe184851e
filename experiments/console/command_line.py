"""A command line as a config and options: read by tyro, refused in one line.

No JAX here, so that `--help` answers at once.
"""

import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import tyro
from tyro import _errors

from data_pipeline.errors import DataError
from data_pipeline.paths import user_path
from experiments.config import kinds_of, load_named, named
from experiments.console import help_text
from experiments.console.failures import told
from experiments.console.streams import Lasting, discard, prepare_streams
from experiments.run.files import RunError, say
from lm.config import ConfigError, at_least, unknown, within

T = TypeVar("T")
help_text.use()


@dataclass(frozen=True)
class Distributed:
    """Many processes that train one run, each with its share of the lanes."""

    detect: bool = False
    """Ask Slurm, Kubernetes or Open MPI, whichever started this process, what the
    others are; where there is none of them, give the next three."""
    coordinator: str = ""
    """HOST:PORT of process 0; any free port that the others can reach."""
    processes: int = 0
    """How many processes there are."""
    process: int = -1
    """Which of them this is, from 0."""
    heartbeat: int = 60
    """Seconds without a sign of life until a process counts as lost, and all end."""

    @property
    def asked(self) -> bool:
        """Whether there is more than this process."""
        return self.detect or bool(self.coordinator)

    def __post_init__(self):
        at_least("distributed.heartbeat", self.heartbeat, 1)
        told = (self.coordinator != "", self.processes != 0, self.process != -1)
        if any(told) and (self.detect or not all(told)):
            raise ConfigError(
                "--distributed.coordinator, .processes and .process go together, and "
                "without .detect: give all three, or .detect alone"
            )
        if not self.coordinator:
            return
        host, _, port = self.coordinator.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise ConfigError(
                f"distributed.coordinator is {self.coordinator!r}: must be HOST:PORT, "
                "such as node1:12345"
            )
        at_least("distributed.processes", self.processes, 1)
        within("distributed.process", self.process, 0, self.processes - 1)


@dataclass(frozen=True)
class _Beside:
    """What a command line says besides the config."""

    config: str = "default"
    """A file in experiments/configs/ whose values are the defaults shown here."""
    run_dir: str | None = None
    """Directory of the run; one that holds this run already is resumed. Default: a
    dated one under runs/."""
    dry_run: bool = False
    """Show the config, parameters, memory and data, compile one step, and leave."""
    distributed: Distributed = field(default_factory=Distributed)


@dataclass(frozen=True)
class Options:
    """What the command line says besides the config."""

    run_dir: Path | None = None
    dry_run: bool = False
    distributed: Distributed = Distributed()
    again: Callable[[Any], Any] | None = None
    """(base) -> the config, read from the same words on another base."""


def parse(
    argv: Sequence[str], description: str, base: Any = None
) -> tuple[Any, Options]:
    """Config and options from a command line. `--config NAME` picks the base, unless
    there is one; its class, that of its application, says what else there is.

    A wrong name or value prints one line to standard error and exits with 2;
    `--help` prints and exits with 0.
    """
    prepare_streams()
    try:
        base = base or load_named(_base_name(argv))
    except ConfigError as error:
        fail(error)
    kind = type(base)
    fields = {f.name: getattr(base, f.name) for f in dataclasses.fields(kind)}
    whole: Any = dataclasses.make_dataclass(
        "Command", [], bases=(_Beside, kind), frozen=True
    )
    default = whole(config=_base_name(argv), **fields)
    about = f"{description}\n\nReady configs (--config): {', '.join(named())}."
    command = command_line(whole, argv, about, default, "python -m experiments.train")
    fields = {name: getattr(command, name) for name in fields}
    with user_errors():
        given = command.run_dir
        run_dir = None if given is None else user_path(given, "--run-dir")

    def again(base: Any) -> Any:
        return parse(argv, description, base)[0]

    options = Options(run_dir, command.dry_run, command.distributed, again)
    return kind(**fields), options


def _base_name(argv: Sequence[str]) -> str:
    """The last value of `--config`, which has to be known before the rest is read."""
    name = "default"
    for flag, value in zip(argv, [*argv[1:], ""], strict=True):
        if flag == "--config":
            name = value
        elif flag.startswith("--config="):
            name = flag.partition("=")[2]
    return name


class _Refused(Exception):
    """A command line that tyro does not accept."""


def command_line(
    kind: type[T],
    argv: Sequence[str],
    description: str,
    default: T | None = None,
    prog: str | None = None,
    pairs: bool = True,
) -> T:
    """A dataclass from a command line; on refusal one line and exit code 2.

    An unknown option is answered with the nearest; a field of type
    `tyro.conf.Positional[…]` is given without its name; a `Path` is read by the one
    rule for paths of users.

    prog: how the command is called, such as `python -m experiments.score`.
    pairs: a boolean field gives both `--field` and `--no-field`; without, only the
      one that changes its default.
    """
    for word in argv:
        if word != word.encode(errors="replace").decode():
            fail(f"{word!r} on the command line is not UTF-8: type or rename it anew")

    def refuse(event) -> None:
        raise _Refused(_refusal(event, kind))

    given: dict[str, Any] = {} if default is None else {"default": default}
    if not pairs:
        given["config"] = (tyro.conf.FlagCreatePairsOff,)
    given |= {"args": argv, "prog": prog, "description": description}
    with user_errors():
        try:
            with _errors.on_parse_error(refuse):
                return _with_user_paths(tyro.cli(kind, **given))
        except (_Refused, ValueError) as error:
            fail(error)


def _with_user_paths(given: T) -> T:
    """The record with each path in it as `user_path` reads it."""

    def read(name: str, value: Any) -> Any:
        if isinstance(value, Path):
            return user_path(value, f"--{name.replace('_', '-')}")
        if isinstance(value, tuple):
            return tuple(read(name, one) for one in value)
        return value

    values = vars(given).items()
    changed = {k: new for k, v in values if (new := read(k, v)) != v}
    return dataclasses.replace(given, **changed) if changed else given  # type: ignore


def _refusal(event: Any, kind: type) -> str:
    """One line for what tyro found wrong."""
    what = type(event).__name__
    if what == "UnrecognizedArgs":
        flag = event.tokens[0]
        if not flag.startswith("-"):
            return f"{flag!r} is not an option; every option starts with --"
        bare = flag.lstrip("-").partition("=")[0].replace("-", "_")
        near = get_close_matches(bare, kinds_of(kind), 1, 0.5)
        hint = f"did you mean --{near[0].replace('_', '-')}? " if near else ""
        return f"option {flag} is unknown; {hint}(--help lists all)"
    if what == "MissingArgs":
        first = event.missing_arguments[0].arg
        about = first.field.helptext
        about = about() if callable(about) else about  # since tyro 1.0.17
        about = " ".join(str(about or "").split()).rstrip(".")
        return f"{first.display_name()} is needed: {about}"
    if what == "InvalidChoice":
        flag = event.argument.display_name().lstrip("-")
        return unknown(flag, event.value, event.choices)
    if what == "BadValue":
        return f"{event.argument.display_name()} needs a value (see --help)"
    if what == "InstantiationFailure" and event.argument:
        return f"{event.argument.display_name()}: {_plain(event.message)}"
    if what == "InstantiationFailure":
        return event.message
    return f"{what} on the command line (--help lists the options)"


def _plain(message: str) -> str:
    """Python's words for a value that is not a number, in ours."""
    value = message.rpartition(": ")[2]
    if message.startswith("invalid literal for int"):
        return f"{value} is not a whole number"
    if message.startswith("could not convert string to float"):
        return f"{value} is not a number"
    return message


def fail(error: Exception | str) -> NoReturn:
    """Prints one line to standard error and exits with 2."""
    say(f"error: {' '.join(str(error).split())}")
    raise SystemExit(2)


@contextmanager
def user_errors(lasting: bool = False) -> Iterator[None]:
    """Around the work of a command: one line instead of a traceback.

    Exit codes: 2 for a user's mistake (ConfigError, DataError, RunError), and for what
    the operating system or JAX refuses (a full disk, memory, a device); 130 for
    Ctrl-C; 141 where nobody reads the output any more (as in `| head`).

    lasting: output that cannot be written is left out in silence, so that it never
      ends the work: for commands whose results are files.
    """
    prepare_streams()
    before = sys.stdout, sys.stderr
    if lasting:
        sys.stdout, sys.stderr = Lasting(sys.stdout), Lasting(sys.stderr)
    try:
        try:
            yield
        except SystemExit:
            sys.stdout.flush()
            raise
        sys.stdout.flush()
    except (ConfigError, DataError, RunError) as error:
        fail(error)
    except KeyboardInterrupt:
        say("interrupted")
        raise SystemExit(130) from None
    except BrokenPipeError:
        # Python would complain once more when it closes the pipe at its exit.
        discard(sys.stdout)
        raise SystemExit(141) from None
    except (
        OSError,
        RecursionError,
        MemoryError,
        RuntimeError,
        AssertionError,
    ) as error:
        line = told(error)
        if line is None:
            raise
        fail(line)
    finally:
        sys.stdout, sys.stderr = before
