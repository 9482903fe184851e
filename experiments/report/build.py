"""From run directories to a page, and its figures as PNG and SVG files."""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from experiments import figures
from experiments.applications.restored import application_of
from experiments.figures.page import (
    Html,
    figure_block,
    figure_grid,
    page,
    pre_block,
    section,
    subheading,
    text_block,
)
from experiments.report import sections
from experiments.report.reading import RunFiles, read_runs
from experiments.report.tables import config_table, origin_table, summary_table
from experiments.run.files import RunError, write_text_atomic

OVERLAID = 12
SAMPLE_CHARACTERS = 3_000

PER_RUN: dict[str, tuple[Callable[[RunFiles], Iterator[sections.Picture]], str]] = {
    "Gradient through time": (sections.through_time, "no probes"),
    "Singular values": (sections.singular, "no checkpoint"),
    "Gates and states": (sections.inside, "no probes"),
    "Clipping": (sections.clipping, "no step logged"),
    "Parameter norms": (sections.parameters, "no step logged"),
}


def report(directories: list[Path], out: Path | None, spectra: bool = True) -> Path:
    """Writes the page and its figures; where the page is.

    Args:
      out: the page; None for report.html in the run's directory, or in the one that
        holds all of several runs.
      spectra: whether singular values are computed, from the checkpoints.

    Raises:
      RunError: where a directory holds no run, or `out` cannot be written.
    """
    runs = read_runs(directories)
    path = out or folder_of_all(directories) / "report.html"
    if path.is_dir():
        raise RunError(f"{path} is a directory: --out takes the page's file name")
    folder = path.parent / ("figures" if out is None else f"{path.stem}_figures")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text_atomic(path, make_page(runs, folder, spectra))
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror}") from None
    return path


def folder_of_all(directories: list[Path]) -> Path:
    """The directory that holds all of them; of one, itself."""
    return Path(
        os.path.relpath(os.path.commonpath([d.absolute() for d in directories]))
    )


def make_page(runs: list[RunFiles], folder: Path, spectra: bool = True) -> Html:
    """The page; every figure on it is written to `folder` too."""
    shown = runs[:OVERLAID]
    parts = [section("Summary", summary_table(runs), *_notes(runs, shown))]
    learning = _drawn(sections.learning(shown), folder, "")
    parts.append(section("Learning curves", figure_grid(*learning)))
    reach = _drawn(sections.reach(shown), folder, "")
    blocks = [figure_grid(*reach)] if reach else [text_block(NO_PROBES)]
    parts.append(section("How far back the gradient reaches", *blocks))
    for heading, (draw, lack) in PER_RUN.items():
        if draw is sections.singular and not spectra:
            left_out = text_block("Left out, by --no-spectra.")
            parts.append(section(heading, left_out))
            continue
        blocks = [
            block
            for run in shown
            for block in _of_run(run, draw, lack, folder, len(shown) > 1)
        ]
        parts.append(section(heading, *blocks))
    answers = [
        block for run in shown for block in _answers(run, folder, len(shown) > 1)
    ]
    if answers:
        parts.append(section("What it answers", *answers))
    if any(application_of(run.record).write for run in shown):
        parts.append(section("Samples", *_samples(shown)))
    parts.append(section("Config", config_table(runs)))
    parts.append(section("Origin", origin_table(runs)))
    names = ", ".join(run.name for run in runs)
    return page(names if len(runs) < 4 else f"{len(runs)} runs", parts, _lead(runs))


NO_PROBES = "No run made probes of its gradient; --gradflow.every N makes them."


def _lead(runs: list[RunFiles]) -> str:
    corpora = sorted({run.corpus for run in runs})
    count = "One run" if len(runs) == 1 else f"{len(runs)} runs"
    return f"{count} on {', '.join(corpora)}."


def _notes(runs: list[RunFiles], shown: list[RunFiles]) -> Iterator[Html]:
    for run in runs:
        if run.notes:
            yield text_block(f"{run.name}: {' '.join(run.notes)}")
    if len(shown) < len(runs):
        yield text_block(
            f"Figures show the first {OVERLAID} runs of {len(runs)}; the tables all."
        )


def _of_run(run, draw, lack: str, folder: Path, several: bool) -> Iterator[Html]:
    """The blocks of one run in a section."""
    if several:
        yield subheading(run.name)
    try:
        drawn = _drawn(draw(run), folder, f"{run.name}_" if several else "")
    except RunError as error:
        drawn, lack = [], str(error)
    yield figure_grid(*drawn) if drawn else text_block(f"Not shown: {lack}.")


def _drawn(
    pictures: Iterable[sections.Picture], folder: Path, prefix: str
) -> list[Html]:
    """Writes each figure as PNG and SVG; its blocks for the page."""
    blocks = []
    for name, figure in pictures:
        stem = re.sub(r"[^\w.-]+", "-", f"{prefix}{name}")
        figures.save(figure, folder / f"{stem}.png", folder / f"{stem}.svg")
        blocks.append(figure_block(figure))
    return blocks


def _answers(run: RunFiles, folder: Path, several: bool) -> Iterator[Html]:
    """What the application shows of the examples that a run kept."""
    show = application_of(run.record).section
    if show is None or run.examples is None:
        return
    if several:
        yield subheading(run.name)
    for block in show(run.examples):
        if isinstance(block, Html):
            yield block
        else:
            yield from _drawn([block], folder, f"{run.name}_" if several else "")


def _samples(runs: list[RunFiles]) -> Iterator[Html]:
    """The last texts that each run wrote while it trained."""
    for run in runs:
        head, mark, texts = run.samples.rpartition("=== step ")
        step, _, texts = texts.partition(" ===\n")
        if not mark or not texts.strip():
            continue
        yield subheading(f"{run.name}, after step {step}")
        more = " …" if len(texts) > SAMPLE_CHARACTERS else ""
        yield pre_block(texts[:SAMPLE_CHARACTERS].rstrip() + more)
    if not any(run.samples.strip() for run in runs):
        yield text_block("No run wrote samples.")
