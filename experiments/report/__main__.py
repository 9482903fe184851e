"""A page about one or several runs: figures, tables, samples, in one file.

    python -m experiments.report RUN                      RUN/report.html, RUN/figures/
    python -m experiments.report RUN RUN --out both.html  compared; both_figures/

The page opens from disk without any network, on a phone, in light and dark, and can be
printed. Runs may be unfinished, or still going on.
"""

import argparse
import sys
from pathlib import Path

from experiments.console.command_line import user_errors


def main(argv: list[str] | None = None) -> None:
    """The command line. Exit codes: 0 done, 2 a user's mistake."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("run", nargs="+", type=Path, help="a run's directory")
    add(
        "--out",
        type=Path,
        help="the page (default: report.html where the run is, or all of them are)",
    )
    add(
        "--no-spectra",
        action="store_true",
        help="leave out the singular values, which need checkpoints and some seconds",
    )
    given = parser.parse_args(sys.argv[1:] if argv is None else argv)
    with user_errors():
        from experiments.report.build import report

        out = report(given.run, given.out, spectra=not given.no_spectra)
        size = out.stat().st_size / 1e6
        print(f"{out} ({size:.1f} MB), figures in {figures_of(out, given.out)}")


def figures_of(page: Path, out: Path | None) -> Path:
    """Where the figures of a page are: `figures/` in a run, else named after it."""
    return page.parent / ("figures" if out is None else f"{page.stem}_figures")


if __name__ == "__main__":
    main()
