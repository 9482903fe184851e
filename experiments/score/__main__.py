"""Score text with a trained model: log-probabilities, perplexity, surprisal.

Text is one sentence a line, cut into tokens as the training text was; every line, a
blank one too, has a row. It is read as training's evaluation reads a split, so the
perplexity of a split's file is the one in summary.json; for a model of streams the
state is carried from line to line then. With --independent every line starts afresh,
from the boundary that the model knows: `<eos>`, or a newline where a stream of
characters has no `<eos>`; such lines are scored while they come, so a text can be of
any length. Logarithms are natural, or to base 2 with --base bits.

--unit word gives a row a word: its surprisal, the entropy of the next token before it
and by how much it fell (max(0, before − after): Hale 2006, with one token's entropy in
place of the whole rest's), its rank, the --top likeliest tokens in its place. Where
words have several tokens their surprisals are summed, and the white space before a
word is the word's own, so the words of a line sum to the line (leading white space; see
Oh & Schuler 2024 and Pimentel & Meister 2024 for what that confounds); entropy, rank
and guesses are those of the word's first token, the rank only where it is the whole
word. The total is given with words that the vocabulary lacks, as `<unk>` (KenLM's
"including OOVs"), and without them ("excluding OOVs", what the RNNLM toolkit prints).

--pairs asks of minimal pairs whether the right sentence is the likelier: of a file or
folder with columns sentence_good and sentence_bad, such as BLiMP, or prefix, good and
bad; or of `grammar`, pairs of subject and verb with nouns of the other number between
them, whose right answers are exact for a run on that corpus.

--nbest with --dev picks hypotheses by acoustic score + λ ln P + β words, λ and β chosen
on development lists for the fewest word errors.
"""

import sys
from collections.abc import Sequence

from experiments.console.command_line import command_line, user_errors
from experiments.score.options import Score


def main(argv: Sequence[str] | None = None) -> None:
    """The command line; a user's mistake prints one line and exits with 2."""
    options = command_line(
        Score,
        sys.argv[1:] if argv is None else argv,
        __doc__ or "",
        prog="python -m experiments.score",
        pairs=False,
    )
    with user_errors():
        show(options)


def show(options: Score) -> None:
    """Answers what the options ask."""
    from experiments.score import lists, pairs, text
    from experiments.train.allocator import keep_memory
    from experiments.train.trained import load_trained

    keep_memory()
    trained = load_trained(options.run)
    if options.pairs:
        pairs.show(options, trained)
    elif options.nbest:
        lists.show(options, trained)
    else:
        text.show(options, trained)


if __name__ == "__main__":
    main()
