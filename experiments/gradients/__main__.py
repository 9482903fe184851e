"""Studies of where gradients go, each with a figure, rows and a sentence.

The same command again goes on where it was stopped, and shows at once what is done.
"""

import dataclasses
import os
import sys
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tyro.conf import Positional

from experiments.config import flatten
from experiments.console.command_line import command_line, fail, user_errors
from experiments.console.interrupts import Interrupt, interrupts
from experiments.gradients import STUDIES, load
from experiments.gradients.directory import claim, compact, spent
from experiments.gradients.study import Job, Result, Study, aligned
from experiments.run.files import write_json_atomic
from experiments.train.allocator import keep_memory
from lm.config import ConfigError, at_least, unknown

PROG = "python -m experiments.gradients"


@dataclass(frozen=True)
class Given:
    """Which study, and how much of it."""

    study: Positional[str]
    """One of those above; NAME --help says more of it."""
    size: str = ""
    """How much of it: one of its sizes (default: small, of the zoo full)."""
    small: bool = False
    """The same as --size small."""
    full: bool = False
    """The same as --size full."""
    dir: Path | None = None
    """Where its runs and what it finds go (default: runs/studies/NAME-SIZE)."""
    seeds: int | None = None
    """Seeds of each variant (default: by size)."""
    processes: int = 1
    """Runs at once."""
    cells: str = ""
    """Cells in place of the size's, with commas between them, or all; of studies that
    compare cells by name."""
    times: bool = False
    """Measure step times too, of the zoo's cells: when nothing else runs."""
    record: bool = False
    """Write experiments/results/study_NAME."""

    def __post_init__(self):
        if self.small and self.full:
            raise ConfigError("--small and --full exclude each other")
        if self.seeds is not None:
            at_least("--seeds", self.seeds, 1)
        at_least("--processes", self.processes, 1)

    def asked(self, study: Study) -> str:
        """The size."""
        named = "small" if self.small else "full" if self.full else self.size
        return named or study.usual


def main(argv: Sequence[str] | None = None) -> None:
    """The command line. Exit codes: 0 done, 2 a user's mistake, 3 interrupted."""
    words = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    name = words[0]
    if name in ("-h", "--help"):
        command_line(Given, words, about_all(), prog=PROG, pairs=False)
    if name not in STUDIES:
        fail(unknown("study", name, STUDIES))
    with user_errors(), interrupts() as stop:
        keep_memory()
        study = load(name)
        about = about_one(name, study)
        given = command_line(Given, words, about, prog=PROG, pairs=False)
        if given.asked(study) not in study.sizes:
            fail(unknown("--size", given.asked(study), study.sizes))
        run_study(study, given, stop)


def about_all() -> str:
    """The command's description, with all studies."""
    names = [f"    {name:15} {asks}" for name, asks in STUDIES.items()]
    return "\n".join([__doc__ or "", *names])


def about_one(name: str, study: Study) -> str:
    """What a study asks and expects, and what its sizes set."""
    expects = textwrap.fill(f"Expected: {study.expects}", 80)
    sizes = "\n".join(settings_of(study))
    return f"{STUDIES[name]}\n\n{expects}\n\nSizes:\n\n{sizes}"


def settings_of(study: Study) -> list[str]:
    """What each size sets, as lines; of all but the small one, what differs from it."""
    small = flatten(dataclasses.asdict(study.sizes["small"]))
    lines = []
    for size, settings in study.sizes.items():
        values = flatten(dataclasses.asdict(settings))
        told = [
            f"{name}={value}"
            for name, value in values.items()
            if size == "small" or value != small[name]
        ]
        indent = " " * 10
        text = textwrap.fill(" ".join(told), 76, break_long_words=False)
        lines.append(textwrap.indent(text, indent).replace(indent, f"  {size:8}", 1))
    return lines


def settings_asked(study: Study, given: Given) -> Any:
    """What the size sets, with the cells and times that the command asks for."""
    from lm.cells import CELLS
    from lm.structure import WHOLE

    settings = study.sizes[given.asked(study)]
    takes = {own.name for own in dataclasses.fields(settings)}
    asked: dict[str, Any] = {}
    if given.cells:
        every = given.cells == "all"
        asked["cells"] = tuple(CELLS if every else given.cells.split(","))
        for cell in asked["cells"]:
            if cell not in CELLS and cell not in WHOLE:
                raise ConfigError(unknown("--cells", cell, [*CELLS, *WHOLE]))
    if given.times:
        asked["times"] = True
    for name in asked:
        if name not in takes:
            raise ConfigError(f"--{name} is no option of the study {given.study}")
    return dataclasses.replace(settings, **asked)


def run_study(study: Study, given: Given, stop: Interrupt) -> None:
    """Runs it, keeps what it found in its directory, and prints it."""
    from experiments.gradients.display import StudyDisplay
    from experiments.train.processes import Interrupted

    name, settings = given.study, settings_asked(study, given)
    folder = Path("runs") / "studies" / f"{name}-{given.asked(study)}"
    directory = folder if given.dir is None else given.dir
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
        record(study, given, seconds, result)
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


def record(study: Study, given: Given, seconds: float, result: Result) -> None:
    """results/study_NAME.png, and .json where the study writes no rows of its own."""
    from experiments.figures import save
    from experiments.results.rows import RESULTS

    if not study.own_rows:
        write_its_row(study, given, seconds, result)
    save(result.figure, RESULTS / f"study_{given.study}.png", dpi=75)


def write_its_row(study: Study, given: Given, seconds: float, result: Result) -> None:
    """results/study_NAME.json, of a study as a whole."""
    from experiments.results.rows import portable, write_row

    name, words = given.study, [given.study, "--size", given.asked(study)]
    if given.cells:
        words += ["--cells", given.cells]
    if given.seeds:
        words += ["--seeds", str(given.seeds)]
    if given.processes > 1:
        words += ["--processes", str(given.processes)]
    command = f"{PROG} {portable(words)}"
    metrics = {"headline": result.headline, "rows": [compact(r) for r in result.rows]}
    write_row(f"study_{name}", command, seconds, metrics)


if __name__ == "__main__":
    main()
