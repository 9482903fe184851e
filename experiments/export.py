"""A trained run's weights, as one safetensors file.

    python -m experiments.export --run runs/ptb --out ptb.safetensors
    python -m experiments.export --run runs/ptb --out ptb.safetensors --layout torch

Config and vocabulary are in the file's metadata: `experiments.import_weights` makes a
run of it again, which answers as this one does.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from experiments.console.command_line import command_line, user_errors

PROG = "python -m experiments.export"


@dataclass(frozen=True)
class Export:
    """Which run's weights go where."""

    run: str
    """Directory of the run whose best parameters go out."""
    out: Path
    """The file, FILE.safetensors; one that is there is replaced."""
    layout: Literal["own", "torch"] = "own"
    """Names and axes of the arrays. own: the model's, layers.0.w_h (H, G); torch: a
    language model as PyTorch's example word_language_model has it, encoder.weight,
    rnn.weight_ih_l0 (G, D), …, decoder.weight: of lstm, gru, tanh or relu."""


def main(argv: Sequence[str] | None = None) -> None:
    """The command line; a user's mistake prints one line and exits with 2."""
    words = sys.argv[1:] if argv is None else argv
    given = command_line(Export, words, __doc__ or "", prog=PROG, pairs=False)
    with user_errors():
        from experiments.applications.exported import exported_of
        from experiments.run.weights import write_weights

        arrays, metadata = exported_of(given.run, given.layout)
        write_weights(given.out, arrays, metadata)
        size = sum(array.size for array in arrays.values())
        print(
            f"{given.out}: {len(arrays)} arrays, {size:,} numbers, of step "
            f"{int(metadata['step']):,}"
        )


if __name__ == "__main__":
    main()
