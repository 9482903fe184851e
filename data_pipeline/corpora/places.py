"""Where text lies: walks through folders, and copies of what can be read only once."""

import shutil
import stat
import tempfile
from pathlib import Path, PurePath

from data_pipeline.corpora.layout import is_leaving
from data_pipeline.corpora.reading import open_binary
from data_pipeline.corpora.text import BLOCK
from data_pipeline.errors import DataError


def walk(folder: Path, seen: frozenset[Path] = frozenset()) -> list[PurePath]:
    """Files below a folder, by their paths relative to it; links are followed. Of
    what is a leaving by its name, the name alone."""
    try:
        real, entries = folder.resolve(), sorted(folder.iterdir())
    except OSError as error:
        what = error.strerror or error
        raise DataError(f"cannot read the folder {folder}: {what}") from None
    if real in seen:
        return []
    found: list[PurePath] = []
    for path in entries:
        name = PurePath(path.name)
        if is_leaving(path.name) or path.is_file():
            found.append(name)
        elif path.is_dir():
            found += [name / below for below in walk(path, seen | {real})]
    return found


def copied(path: Path) -> Path:
    """A copy, in a temporary folder of its own, of what can be read only once: a pipe,
    or `-`, standard input. Raises DataError for devices and sockets."""
    if str(path) != "-":
        _refuse_endless(path)
    folder = Path(tempfile.mkdtemp(prefix="data-"))
    copy = folder / ("stdin.txt" if str(path) == "-" else path.name)
    try:
        with copy.open("wb") as file, open_binary(path) as pipe:
            shutil.copyfileobj(pipe, file, BLOCK)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return copy


def _refuse_endless(path: Path) -> None:
    mode = path.stat().st_mode
    if stat.S_ISFIFO(mode) or str(path) in ("/dev/stdin", "/dev/fd/0", "/dev/null"):
        return
    raise DataError(f"{path} is no file, folder or pipe, but a device or a socket")
