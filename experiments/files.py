"""Small things about files: atomic writes, and where and with what a run was made."""

import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

PACKAGES = ("jax", "jaxlib", "numpy", "optax", "flax", "orbax-checkpoint")
ROOT = Path(__file__).resolve().parent.parent


class RunError(ValueError):
    """A run directory that cannot be used as asked; the message says why.

    everywhere: where many processes train the run, each of them comes upon it.
    """

    everywhere = False


@contextmanager
def whole_or_nothing(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write to, which takes `path`'s place at the end: a reader never sees
    half of it."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(temporary, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def write_text_atomic(path: str | Path, text: str) -> None:
    """Writes a whole file of UTF-8 or nothing."""
    with whole_or_nothing(path) as file:
        file.write(text.encode("utf-8"))


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
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path} is not there") from None
    except (ValueError, OSError) as error:
        raise RunError(f"{path} cannot be read: {error}") from None


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


def versions() -> dict[str, str]:
    """Python's version and those of the packages that numbers depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_state() -> dict[str, Any] | None:
    """The project's commit and whether files differ from it; None without git."""

    def ask(*words: str) -> str:
        command = ["git", "-C", str(ROOT), *words]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10)
        answer.check_returncode()
        return answer.stdout.strip()

    try:
        changed = ask("status", "--porcelain", "--untracked-files=no")
        return {"commit": ask("rev-parse", "HEAD"), "changed": bool(changed)}
    except (OSError, subprocess.SubprocessError):
        return None


def hardware() -> dict[str, Any]:
    """Processor, cores that this process may use, memory, priority where it is not the
    usual one, and JAX's devices (those only if JAX is imported already: asking must
    not cost a second)."""
    found: dict[str, Any] = {"system": platform.system(), "cpu": _cpu()}
    try:
        found["cores"] = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        found["cores"] = os.cpu_count()
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        found["memory_GiB"] = round(size / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        pass
    found |= _priority()
    if "jax" in sys.modules:
        found["devices"] = [d.device_kind for d in sys.modules["jax"].devices()]
    return found


def _priority() -> dict[str, str]:
    """{"priority": "real-time" or "nice N"}, or {} for the usual one."""
    try:
        if os.sched_getscheduler(0) in (os.SCHED_FIFO, os.SCHED_RR):
            return {"priority": "real-time"}
        nice = os.nice(0)
        return {"priority": f"nice {nice}"} if nice else {}
    except (AttributeError, OSError):  # not on macOS
        return {}


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
