"""A study's directory: marked as its own, so that nothing of others is overwritten.

study.json       the mark: which study, of which size
rows.json        what was found; figure.png, figure.svg
seconds.json     how long it took, over all sessions
compiled/        programs, so that runs of one shape are compiled once
pilots/          runs that find learning rates
NAME-seedN/      runs; of the tasks of long memory, a JSON file a trial
"""

from pathlib import Path
from typing import Any

from experiments.run.files import RunError, plain, read_json, write_json_atomic

MARK, FORMAT = "study.json", "study-1"


def claim(directory: Path, name: str) -> None:
    """Makes the directory, or takes one that this study made; marks it.

    Raises:
      RunError: for a file, another study's directory, or one with files of others.
    """
    if directory.exists() and not directory.is_dir():
        raise RunError(f"{directory} is a file: give a directory for the study")
    path = directory / MARK
    if path.exists():
        mark = read_json(path)
        if not isinstance(mark, dict) or mark.get("format") != FORMAT:
            raise RunError(f"{path} is not a study's mark: give another --dir")
        if mark.get("study") != name:
            raise RunError(
                f"{directory} holds the study {mark.get('study')!r}, not {name!r}: "
                "give another --dir"
            )
        return
    directory.mkdir(parents=True, exist_ok=True)
    strangers = sorted(p.name for p in directory.iterdir() if not _of_a_study(p))
    if strangers:
        raise RunError(
            f"{directory} holds what no study made ({strangers[0]}), and a study would "
            "write beside it: give a new or an empty --dir"
        )
    write_json_atomic(path, {"format": FORMAT, "study": name})


def _of_a_study(path: Path) -> bool:
    """Whether a study of before there were marks made this; by its name, and for files
    that would be written anew, by what is in them; and the mark that another process
    is about to set here."""
    if path.name.startswith(f".{MARK}."):
        return True
    if path.is_symlink():
        return False
    if path.is_dir():
        ours = path.name in ("compiled", "pilots") or (path / "config.json").exists()
        return ours or not any(path.iterdir())
    if path.name.startswith("figure."):
        return (path.parent / "rows.json").exists()
    if path.suffix != ".json":
        return False
    try:
        found = read_json(path)
    except RunError:
        return False
    keys = {"rows.json": {"headline", "rows"}, "seconds.json": {"seconds"}}
    wanted = keys.get(path.name, {"trial", "result"})
    return isinstance(found, dict) and set(found) == wanted


def spent(directory: Path, seconds: float) -> float:
    """Seconds that the study has taken, over all sessions."""
    path = directory / "seconds.json"
    total = seconds + (read_json(path)["seconds"] if path.exists() else 0.0)
    write_json_atomic(path, {"seconds": total})
    return total


def compact(row: dict[str, Any], longest: int = 16) -> dict[str, Any]:
    """The row without its curves, which stay in the study's directory."""
    values = plain(row)
    return {k: v for k, v in values.items() if count(v) <= longest}


def count(value: Any) -> int:
    """How many numbers a JSON value holds."""
    if isinstance(value, dict):
        return sum(map(count, value.values()))
    return sum(map(count, value)) if isinstance(value, list) else 1
