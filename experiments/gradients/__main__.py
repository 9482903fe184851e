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

from data_pipeline.paths import user_path
from experiments.console.command_line import fail, user_errors
from experiments.console.interrupts import Interrupt, interrupts
from experiments.gradients import STUDIES, load
from experiments.gradients.directory import claim, compact, spent
from experiments.gradients.study import Job, Result, Study, aligned
from experiments.run.files import write_json_atomic
from lm.config import unknown


def main(argv: list[str] | None = None) -> None:
    """The command line. Exit codes: 0 done, 2 a user's mistake, 3 interrupted."""
    arguments = sys.argv[1:] if argv is None else argv
    named = [word for word in arguments[:1] if not word.startswith("-")]
    if named and named[0] not in STUDIES:
        fail(unknown("study", named[0], STUDIES))
    if not named:
        parser = make_list()
        parser.parse_args(arguments)
        parser.print_help()
        return
    with user_errors(), interrupts() as stop:
        study = load(named[0])
        given = make_parser(named[0], study).parse_args(arguments[1:])
        if given.size not in study.sizes:
            fail(unknown("--size", given.size, study.sizes))
        run_study(named[0], study, given, stop)


def make_list() -> argparse.ArgumentParser:
    """The options where no study is named; the help lists all of them."""
    prog = "python -m experiments.gradients"
    names = [f"  {name:15} {asks}" for name, asks in STUDIES.items()]
    about = [__doc__ or "", f"studies ({prog} NAME --help says more):", *names]
    return argparse.ArgumentParser(
        prog=prog,
        usage=f"{prog} NAME [options]",
        description="\n".join(about),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def make_parser(name: str, study: Study) -> argparse.ArgumentParser:
    """The options of a study; the help says what it expects to find."""
    expects = textwrap.fill(f"Expected: {study.expects}", 80)
    parser = argparse.ArgumentParser(
        prog=f"python -m experiments.gradients {name}",
        description=f"{STUDIES[name]}\n\n{expects}",
        epilog="\n".join(["sizes:", *settings_of(study)]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sizes = ", ".join(study.sizes)
    add = parser.add_argument
    add("--size", default="small", help=f"one of: {sizes} (default: small)")
    for size in ("small", "full"):
        if size in study.sizes:
            add(f"--{size}", dest="size", action="store_const", const=size)
    add("--dir", help="default: runs/studies/NAME-SIZE")
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


def run_study(name: str, study: Study, given: Any, stop: Interrupt) -> None:
    """Runs it, keeps what it found in its directory, and prints it."""
    from experiments.gradients.display import StudyDisplay
    from experiments.train.processes import Interrupted

    settings = study.sizes[given.size]
    directory = Path("runs") / "studies" / f"{name}-{given.size}"
    if given.dir is not None:
        directory = user_path(given.dir, "--dir")
    claim(directory, name)
    share_compiled(directory)
    display = StudyDisplay(name)
    began = time.perf_counter()
    try:
        seeds = given.seeds or settings.seeds
        job = Job(directory, seeds, display, given.processes, stop)
        result = study.run(settings, job)
    except Interrupted:
        print("interrupted, saved; the same command goes on", flush=True)
        raise SystemExit(3) from None
    finally:
        display.close()
        seconds = spent(directory, time.perf_counter() - began)
    keep(result, directory)
    if given.record:
        record(name, given, seconds, result)
    print("\n".join(["", *page(result, directory)]), flush=True)


def share_compiled(directory: Path) -> None:
    """Lets all runs of the study compile a program of one shape only once, here and, by
    the environment, in worker processes; unless the user has a cache already."""
    import jax

    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    options = {
        "jax_compilation_cache_dir": str((directory / "compiled").resolve()),
        "jax_persistent_cache_min_compile_time_secs": 0,
    }
    for name, value in options.items():
        os.environ[name.upper()] = str(value)
        jax.config.update(name, value)


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


if __name__ == "__main__":
    main()
