"""Where and with what a run was made: versions, commit, hardware."""

import ast
import hashlib
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

# The code that a run's numbers come from.
NUMBERS = ("lm", "data_pipeline", "experiments/applications", "experiments/train")
PACKAGES = ("jax", "jaxlib", "numpy", "optax", "flax", "orbax-checkpoint")


ROOT = Path(__file__).resolve().parents[2]


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


def code() -> str:
    """Python's version and a digest of the code that a run's numbers come from, as
    Python understands it: comments and docstrings do not count."""
    found = hashlib.sha256()
    for package in NUMBERS:
        for path in sorted((ROOT / package).rglob("*.py")):
            tree = ast.parse(path.read_bytes())
            for node in ast.walk(tree):
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                    if ast.get_docstring(node, clean=False) is not None:
                        del node.body[0]
            found.update(f"{path.relative_to(ROOT)}\0{ast.dump(tree)}\0".encode())
    return f"{sys.version_info[0]}.{sys.version_info[1]}-{found.hexdigest()[:12]}"


def cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def hardware() -> dict[str, Any]:
    """Processor, cores that this process may use, memory, priority where it is not the
    usual one, and JAX's devices (those only if JAX is imported already: asking must
    not cost a second)."""
    found: dict[str, Any] = {"system": platform.system(), "cpu": _cpu()}
    found["cores"] = cores()
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
