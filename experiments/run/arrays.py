"""Named arrays in a folder, by Orbax: written whole or refused, read or `Damaged`."""

import errno
import logging
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp

from experiments.run.files import RunError

ARRAYS, MANIFEST = "arrays", "manifest.ocdbt"


class Damaged(Exception):
    """A checkpoint that does not hold what was saved."""


def _orbax():
    """Orbax's plain, synchronous checkpointer, which waits for no other process; its
    import takes most of a second."""
    here = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(
        primary_host=here, active_processes={here}, barrier_sync_key_prefix="alone"
    )
    handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=alone)
    return ocp.Checkpointer(handler, multiprocessing_options=alone)


def write_arrays(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    """The arrays by Orbax, below the folder; RunError where they are not all there."""
    try:
        with plainly_named(folder) as path, _silence():
            _orbax().save(path / ARRAYS, arrays)
    except (OSError, ValueError, RuntimeError) as error:
        raise RunError(f"{folder} cannot be written: {_reason(error)}") from None
    if arrays and not (folder / ARRAYS / MANIFEST).is_file():
        raise RunError(
            f"{folder} was not written whole (it has no {MANIFEST}): give a --run-dir "
            "on another file system, or with a plainer name"
        )


@contextmanager
def _silence() -> Iterator[None]:
    """Threads of Orbax's print what they raise, besides handing it on."""
    log, before = logging.getLogger("absl"), threading.excepthook
    disabled, log.disabled = log.disabled, True
    threading.excepthook = lambda _: None
    try:
        yield
    finally:
        log.disabled, threading.excepthook = disabled, before


_REASONS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM)
_REASONS += (errno.EROFS, errno.EIO, errno.ENOENT)


def _reason(error: Exception) -> str:
    """In the words of the operating system where Orbax passes them on."""
    told = str(error)
    known = [os.strerror(n) for n in _REASONS if os.strerror(n) in told]
    return known[0] if known else told.strip().partition("\n")[0][:160]


_PLAIN = re.compile(r"[A-Za-z0-9._/-]+")


@contextmanager
def plainly_named(folder: Path) -> Iterator[Path]:
    """The folder under a path that Orbax takes as it stands.

    It looks for files below it by a pattern, in which brackets, stars and question
    marks mean something, and reads a backslash as a slash. So for other paths than the
    plainest this is a link in a temporary folder.
    """
    if _PLAIN.fullmatch(str(folder)):
        yield folder
        return
    for place in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        if _PLAIN.fullmatch(place) and os.access(place, os.W_OK):
            break
    else:
        raise RunError(
            f"{folder} is no name for checkpoints, and no temporary folder has a "
            "plainer one: set TMPDIR to a folder of letters, digits and - . _ alone"
        )
    with tempfile.TemporaryDirectory(prefix="checkpoint-", dir=place) as own:
        link = Path(own) / "folder"
        link.symlink_to(folder, target_is_directory=True)
        yield link


def read_arrays(folder: Path, paths: list[str]) -> dict[str, np.ndarray]:
    """The arrays with these paths; Damaged where Orbax cannot read them."""
    wanted = {path: ocp.RestoreArgs(restore_type=np.ndarray) for path in paths}
    args = ocp.args.PyTreeRestore(
        item=dict.fromkeys(paths, 0), restore_args=wanted, partial_restore=True
    )
    if not paths:
        return {}
    with plainly_named(folder) as path, _silence():
        try:
            found = _orbax().restore(path / ARRAYS, args=args)
            return {path: np.asarray(found[path]) for path in paths}
        except Exception as error:  # whatever Orbax makes of broken files
            first_line = str(error).strip().partition("\n")[0][:120]
            raise Damaged(f"{type(error).__name__}: {first_line}") from None
