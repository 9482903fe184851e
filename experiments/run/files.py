"""Small things about files: atomic writes, and where and with what a run was made."""

import errno
import json
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np


class RunError(ValueError):
    """A run directory that cannot be used as asked; the message says why.

    everywhere: where many processes train the run, each of them comes upon it.
    """

    everywhere = False


def say(line: str) -> None:
    """One line to standard error; nothing where nobody can read it."""
    try:
        print(line, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        pass


def note(line: str) -> None:
    """A line on something that is well, yet worth knowing."""
    say(f"note: {line}")


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Around reading a file: what is wrong with it is a RunError of one line."""
    try:
        yield
    except RunError:
        raise
    except FileNotFoundError:
        raise RunError(f"{path} is not there") from None
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}") from None
    except RecursionError:
        raise RunError(f"{path} cannot be read: it is nested too deeply") from None
    except MemoryError:
        raise RunError(f"{path} cannot be read: it asks for too much memory") from None
    except ValueError as error:
        raise RunError(f"{path} cannot be read: {error}") from None


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Around writing a file: what the system refuses is a RunError of one line."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise RunError(f"{path} cannot be written: {why}") from None


def check_place(path: str | Path) -> None:
    """RunError where no file can be written there: told before the work, not after."""
    path = Path(path)
    if path.is_dir():
        raise RunError(f"{path} is a directory: give a file's name")
    why = 0 if path.parent.is_dir() else errno.ENOENT
    if not why and not os.access(path.parent, os.W_OK):
        why = errno.EACCES
    if why:
        raise RunError(f"{path} cannot be written: {os.strerror(why)}")


@contextmanager
def whole_or_nothing(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write to, which takes `path`'s place at the end: a reader never sees
    half of it. RunError where it cannot be written; then nothing is left of it."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with writing(path), open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with writing(path):
            os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def write_text_atomic(path: str | Path, text: str) -> None:
    """Writes a whole file of UTF-8 or nothing."""
    with whole_or_nothing(path) as file:
        # A lone surrogate, of which JSON knows, is written as JSON's escape.
        file.write(text.encode("utf-8", "backslashreplace"))


def write_json_atomic(path: str | Path, value: Any, digits: int = 9) -> None:
    """`value` as indented JSON, atomically. Arrays become lists; see `plain`."""
    whole = plain(value, digits)
    text = json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False)
    write_text_atomic(path, text + "\n")


def write_npz_atomic(path: str | Path, arrays: dict[str, np.ndarray]) -> None:
    """Named arrays as an uncompressed .npz, atomically; the same bytes every time."""
    with whole_or_nothing(path) as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_json(path: str | Path) -> Any:
    """A JSON file; RunError in one line where it is missing or broken."""
    with reading(path):
        return json.loads(Path(path).read_text(encoding="utf-8"))


def plain(value: Any, digits: int = 9) -> Any:
    """A value as strict JSON knows it: arrays as lists, floats with so many digits (9
    keep a float32, 17 a float64), and "nan", "inf", "-inf" as strings, which `float`
    reads."""
    if isinstance(value, bool | str | int | None):
        return value
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {str(k): plain(v, digits) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v, digits) for v in value]
    if isinstance(value, Path):
        return str(value)
    return plain(np.asarray(value).tolist(), digits)
