"""A page about one or several runs: figures, tables, samples, in one file.

    python -m experiments.report RUN                      RUN/report.html, RUN/figures/
    python -m experiments.report RUN RUN --out both.html  compared; both_figures/

The page opens from disk without any network, on a phone, in light and dark, and can be
printed. Runs may be unfinished, or still going on.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from experiments.console.command_line import command_line, user_errors
from lm.config import ConfigError


@dataclass(frozen=True)
class Report:
    """Which runs, and where the page goes."""

    run: Positional[tuple[Path, ...]]
    """A run's directory, or several."""
    out: Path | None = None
    """The page (default: report.html where the run is, or all of them are)."""
    no_spectra: bool = False
    """Leave out the singular values, which need checkpoints and some seconds."""

    def __post_init__(self):
        if not self.run:
            raise ConfigError("RUN is needed: the directory of a run, or of several")


def main(argv: list[str] | None = None) -> None:
    """The command line. Exit codes: 0 done, 2 a user's mistake."""
    words = sys.argv[1:] if argv is None else argv
    prog = "python -m experiments.report"
    given = command_line(Report, words, __doc__ or "", prog=prog, pairs=False)
    with user_errors():
        from experiments.report.build import report

        out = report(list(given.run), given.out, spectra=not given.no_spectra)
        size = out.stat().st_size / 1e6
        print(f"{out} ({size:.1f} MB), figures in {figures_of(out, given.out)}")


def figures_of(page: Path, out: Path | None) -> Path:
    """Where the figures of a page are: `figures/` in a run, else named after it."""
    return page.parent / ("figures" if out is None else f"{page.stem}_figures")


if __name__ == "__main__":
    main()
