"""Studies of where gradients go, each with a figure, rows and a sentence.

The same command again goes on where it was stopped, and shows at once what is done.
"""

import argparse
import dataclasses
import os
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

from experiments.console.command_line import fail, user_errors
from experiments.gradients import (
    cells,
    clipping,
    depth,
    initialisation,
    long_memory,
    pascanu,
    truncation,
)
from experiments.gradients.display import StudyDisplay
from experiments.gradients.study import (
    Interrupted,
    Job,
    Result,
    Study,
    aligned,
    expected,
)
from experiments.run.files import plain, read_json, write_json_atomic
from lm.config import unknown

ALL: tuple[Study, ...] = (
    cells.STUDY,
    initialisation.STUDY,
    truncation.STUDY,
    clipping.STUDY,
    depth.STUDY,
    long_memory.STUDY,
    pascanu.STUDY,
)
STUDIES: dict[str, Study] = {study.name: study for study in ALL}


def main(argv: list[str] | None = None) -> None:
    """The command line. Exit codes: 0 done, 2 a user's mistake, 3 interrupted."""
    arguments = sys.argv[1:] if argv is None else argv
    named = [word for word in arguments[:1] if not word.startswith("-")]
    if named and named[0] not in STUDIES:
        fail(unknown("study", named[0], STUDIES))
    study = STUDIES[named[0]] if named else None
    parser = make_parser(study)
    given = parser.parse_args(arguments[1:] if study else arguments)
    if study is None:
        parser.print_help()
        return
    if given.size not in study.sizes:
        fail(unknown("--size", given.size, study.sizes))
    with user_errors():
        try:
            run_study(study, given)
        except Interrupted:
            print("interrupted, saved; the same command goes on", flush=True)
            raise SystemExit(3) from None


def make_parser(study: Study | None) -> argparse.ArgumentParser:
    """The options; the help of a study says what it expects to find."""
    prog = "python -m experiments.gradients"
    if study is None:
        names = [f"  {s.name:15} {s.asks}" for s in STUDIES.values()]
        about = [__doc__ or "", f"studies ({prog} NAME --help says more):", *names]
        parser = argparse.ArgumentParser(
            prog=prog,
            usage=f"{prog} NAME [options]",
            description="\n".join(about),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        return parser
    parser = argparse.ArgumentParser(
        prog=f"{prog} {study.name}",
        description=f"{study.asks}\n\n{textwrap.dedent('    ' + expected(study))}",
        epilog="\n".join(["sizes:", *settings_of(study)]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sizes = ", ".join(study.sizes)
    add = parser.add_argument
    add("--size", default="small", help=f"one of: {sizes} (default: small)")
    for size in ("small", "full"):
        if size in study.sizes:
            add(f"--{size}", dest="size", action="store_const", const=size)
    add("--dir", type=Path, help="default: runs/studies/NAME-SIZE")
    add("--seeds", type=positive, help="seeds of each variant (default: by size)")
    add("--processes", type=positive, default=1, help="runs at once (default: 1)")
    add("--record", action="store_true", help="write experiments/results/study_NAME")
    return parser


def settings_of(study: Study) -> list[str]:
    """What each size sets, as lines; of all but the small one, what differs from it."""
    small = dataclasses.asdict(study.sizes["small"])
    lines = []
    for size, settings in study.sizes.items():
        values = dataclasses.asdict(settings)
        told = [
            f"{name}={value}"
            for name, value in values.items()
            if size == "small" or value != small[name]
        ]
        indent = " " * 10
        text = textwrap.fill(" ".join(told), 76, break_long_words=False)
        lines.append(textwrap.indent(text, indent).replace(indent, f"  {size:8}", 1))
    return lines


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number above 0")
    return int(text)


def run_study(study: Study, given: Any) -> None:
    """Runs it, keeps what it found in its directory, and prints it."""
    settings = study.sizes[given.size]
    directory = given.dir or Path("runs") / "studies" / f"{study.name}-{given.size}"
    directory.mkdir(parents=True, exist_ok=True)
    share_compiled(directory)
    display = StudyDisplay(study.name)
    began = time.perf_counter()
    try:
        seeds = given.seeds or settings.seeds
        job = Job(directory, seeds, display, given.processes)
        result = study.run(settings, job)
    finally:
        display.close()
        seconds = spent(directory, time.perf_counter() - began)
    keep(result, directory)
    if given.record:
        record(study.name, given, seconds, result)
    print("\n".join(["", *page(result, directory)]), flush=True)


def share_compiled(directory: Path) -> None:
    """Lets all runs of the study compile a program of one shape only once.

    By the environment, which worker processes inherit; JAX is not imported yet.
    """
    cache = str((directory / "compiled").resolve())
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", cache)
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


def spent(directory: Path, seconds: float) -> float:
    """Seconds that the study has taken, over all sessions."""
    path = directory / "seconds.json"
    total = seconds + (read_json(path)["seconds"] if path.exists() else 0.0)
    write_json_atomic(path, {"seconds": total})
    return total


def keep(result: Result, directory: Path) -> None:
    """figure.png, figure.svg and rows.json."""
    from experiments.figures import save

    save(result.figure, directory / "figure.png", dpi=100)
    save(result.figure, directory / "figure.svg")
    found = {"headline": result.headline, "rows": result.rows}
    write_json_atomic(directory / "rows.json", found)


def page(result: Result, directory: Path) -> list[str]:
    """What is printed at the end; it opens with the headline."""
    headline = textwrap.wrap(result.headline, 80)
    figure = f"figure: {directory / 'figure.png'} (.svg), rows: rows.json beside it"
    return [*headline, "", aligned(result.table), "", figure]


def record(name: str, given: Any, seconds: float, result: Result) -> None:
    """results/study_NAME.json and .png."""
    from experiments.figures import save
    from experiments.results.rows import RESULTS, write_row

    command = f"python -m experiments.gradients {name} --size {given.size}"
    if given.seeds:
        command += f" --seeds {given.seeds}"
    if given.processes > 1:
        command += f" --processes {given.processes}"
    metrics = {"headline": result.headline, "rows": [compact(r) for r in result.rows]}
    write_row(f"study_{name}", command, seconds, metrics)
    save(result.figure, RESULTS / f"study_{name}.png", dpi=75)


def compact(row: dict[str, Any], longest: int = 16) -> dict[str, Any]:
    """The row without its curves, which stay in the study's directory."""
    values = plain(row)
    return {k: v for k, v in values.items() if count(v) <= longest}


def count(value: Any) -> int:
    """How many numbers a JSON value holds."""
    if isinstance(value, dict):
        return sum(map(count, value.values()))
    return sum(map(count, value)) if isinstance(value, list) else 1


if __name__ == "__main__":
    main()
