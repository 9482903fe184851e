"""How a trained language model reads a text: a page that is alive without a server.

    python -m experiments.read --run RUN --text "The cat sat on the mat ."
    python -m experiments.read --run RUN --input FILE --out page.html

On the page every token has the colour of its surprisal, and its likeliest guesses; a
click on a token shows where its loss reaches: the norm of its gradient at every earlier
token and state, along all paths, exact; and any unit's activation can be seen along the
text. The text is read in one piece from the boundary that the model knows; a model that
reads sentences starts anew with each. The page opens from disk without any network, on
a phone, in light and dark, and by keyboard.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from experiments.console.command_line import command_line, user_errors
from lm.checks import at_least
from lm.config import ConfigError


@dataclass(frozen=True)
class Read:
    """Which model reads what, and where the page goes."""

    run: str
    """Directory of the run whose best checkpoint reads."""
    text: str = ""
    """The text itself."""
    input: str = ""
    """A file with the text (also .gz), in place of --text; `-` is standard input."""
    out: Path | None = None
    """The page (default: read.html in the run's directory)."""
    base: Literal["bits", "nats"] = "bits"
    """The unit of surprisal and entropy."""
    top: int = 8
    """How many guesses a token has."""
    max_tokens: int = 400
    """The longest text. Time and the page grow with the square of it: 400 tokens take
    seconds, and half a minute of 2 × 650 units and 10,000 words."""

    def __post_init__(self):
        if bool(self.text) == bool(self.input):
            raise ConfigError(
                "there is no text to read: give --text or --input"
                if not self.text
                else "give --text or --input, not both"
            )
        at_least("--top", self.top, 1)
        at_least("--max_tokens", self.max_tokens, 1)


def main(argv: Sequence[str] | None = None) -> None:
    """The command line; a user's mistake prints one line and exits with 2."""
    words = sys.argv[1:] if argv is None else argv
    prog = "python -m experiments.read"
    options = command_line(Read, words, __doc__ or "", prog=prog, pairs=False)
    with user_errors():
        from experiments.read.build import page_of

        out = page_of(options)
        print(f"{out} ({out.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
