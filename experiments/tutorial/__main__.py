"""The tutorial, retold: runs its chapters and writes one page.

    python -m experiments.tutorial          all six, some minutes of two cores
    python -m experiments.tutorial 3        one of them
    python -m experiments.tutorial 1 2 --small   in the sizes of the tests

1 from scratch, 2 faster, 3 what RNNs are, 4 a language model, 5 vanishing gradients,
6 GRU and LSTM. A chapter is experiments/tutorial/NAME.py: a script, and a notebook
where jupytext is installed. The page opens from disk, without any network.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tyro.conf import Positional

from experiments.console.command_line import command_line, user_errors
from experiments.run.files import write_text_atomic
from experiments.tutorial import CHAPTERS
from lm.config import ConfigError, within

PROG = "python -m experiments.tutorial"
WEIGHED = 1 + CHAPTERS.index("language_model")  # the chapter that reads --weights


@dataclass(frozen=True)
class Tutorial:
    """Which chapters, and where their page goes."""

    chapter: Positional[tuple[int, ...]] = ()
    """Numbers of chapters (default: all)."""
    small: bool = False
    """In small sizes: a minute, and numbers that say little."""
    weights: Path | None = None
    """Weights that the tutorial's own programs saved (.npz): chapter 4 uses them."""
    out: Path | None = None
    """The page (default: runs/tutorial.html, or runs/tutorial_N.html of one)."""
    record: bool = False
    """Write experiments/results/tutorial.json: all claims, and what was measured. Of
    chapter N alone, on another machine say, tutorial_N.json."""

    def __post_init__(self):
        for number in self.chapter:
            within("the number of a chapter", number, 1, len(CHAPTERS))
        if self.weights and WEIGHED not in (self.chapter or (WEIGHED,)):
            raise ConfigError(
                f"--weights are for chapter {WEIGHED}, which is not among those asked "
                f"for: add {WEIGHED}, or leave --weights out"
            )
        if self.record and (len(self.chapter) > 1 or self.small or self.weights):
            raise ConfigError(
                "--record is of all chapters in full, or of one: without --small, "
                "--weights and a second number"
            )


def main(argv: Sequence[str] | None = None) -> None:
    """The command line. Exit codes: 0 done, 2 a user's mistake."""
    words = sys.argv[1:] if argv is None else argv
    given = command_line(Tutorial, words, __doc__ or "", prog=PROG, pairs=False)
    with user_errors():
        from experiments.applications.language_model.tutorial_files import load_tutorial
        from experiments.tutorial.rendering import rendered
        from experiments.tutorial.running import run_chapter

        weights = "" if given.weights is None else str(given.weights)
        if weights:
            load_tutorial(weights)  # what is wrong with it is told before the minutes
        numbers = given.chapter or tuple(range(1, len(CHAPTERS) + 1))
        chapters = []
        for number in numbers:
            name = CHAPTERS[number - 1]
            print(f"{number} {name:20}", end=" ", flush=True)
            chapters.append(run_chapter(name, given.small, weights))
            print(f"{chapters[-1].seconds:6.1f} s", flush=True)
        out = given.out or Path("runs") / f"{page_name(given.chapter)}.html"
        out.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomic(out, rendered(chapters))
        print(f"{out} ({out.stat().st_size / 1e6:.1f} MB)")
        if given.record:
            record(page_name(given.chapter), chapters)


def page_name(numbers: Sequence[int]) -> str:
    """tutorial, or tutorial_3 of chapter 3."""
    return "_".join(["tutorial", *map(str, numbers)])


def record(name: str, chapters: Sequence[Any]) -> None:
    """results/NAME.json."""
    from experiments.results.rows import write_row

    claims = [[c.name, *claim.row] for c in chapters for claim in c.claims]
    seconds = {c.name: round(c.seconds, 1) for c in chapters}
    metrics = {"claims": claims, "seconds": seconds}
    command = " ".join([PROG, *name.split("_")[1:]])
    write_row(name, command, sum(seconds.values()), metrics)


if __name__ == "__main__":
    main()
