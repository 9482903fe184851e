r"""A run made of a file of weights: it scores, writes and answers as any other.

    python -m experiments.import_weights --weights ptb.safetensors --run-dir runs/again
    python -m experiments.import_weights --weights net.npz --words words.txt \
        --run-dir runs/net

The first is a file of `experiments.export`. The second is a language model of torch's
(state dict in .safetensors or .npz, see --words), or what the tutorial's own programs
saved: U, V, W of Part 2, or E, U, W, V, b, c of Part 4.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.console.command_line import command_line, user_errors

PROG = "python -m experiments.import_weights"


@dataclass(frozen=True)
class ImportWeights:
    """Which weights become which run."""

    weights: Path
    """The file, .safetensors or .npz."""
    run_dir: Path
    """Directory of the run; a new one."""
    words: Path | None = None
    """Files that are not of experiments.export: the words, a line each, in the order of
    the rows of encoder.weight (or E, or the columns of U)."""
    start: str = "<eos>"
    """--words: the word that is read before a text."""
    end: str = "<eos>"
    """--words: the word that is guessed after a text; becomes one with --start."""
    unknown: str = "<unk>"
    """--words: the word that stands for all others."""
    tokenizer: str = "whitespace"
    """--words: how new text is cut, as data.tokenizer."""
    relu: bool = False
    """torch's nn.RNN was made with nonlinearity="relu", which no weight says."""


def main(argv: Sequence[str] | None = None) -> None:
    """The command line; a user's mistake prints one line and exits with 2."""
    words = sys.argv[1:] if argv is None else argv
    given = command_line(ImportWeights, words, __doc__ or "", prog=PROG, pairs=False)
    with user_errors():
        print(f"{given.run_dir}: {imported(given)}")


def imported(given: ImportWeights) -> str:
    """Makes the run; what is in it, in a few words.

    Raises:
      RunError: where the file or the words cannot be read, or do not go together.
    """
    from experiments.applications.exported import make_run, run_of_exported
    from experiments.applications.language_model.foreign import Words, foreign
    from experiments.run.files import RunError
    from experiments.run.record import FILE, VOCABULARY
    from experiments.run.weights import named_leaves, read_weights

    arrays, metadata = read_weights(given.weights)
    if FILE in metadata:
        return run_of_exported(given.weights, arrays, metadata, given.run_dir)
    if given.words is None:
        raise RunError(
            f"{given.weights} is not of experiments.export and holds no vocabulary: "
            "give --words FILE, a word a line in the order of its rows"
        )
    words = Words(given.words, given.start, given.end, given.unknown, given.tokenizer)
    config, params, vocabulary = foreign(given.weights, arrays, words, given.relu)
    kept = {VOCABULARY: vocabulary.text()}
    leaves = named_leaves(params)
    return make_run(given.weights, given.run_dir, config, None, kept, leaves)


if __name__ == "__main__":
    main()
