"""What a language model does while it reads a text: surprisal, guesses, where each
token's loss reaches, and the activations of all units."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from data_pipeline.errors import DataError
from experiments.applications.language_model.pieces import Piece, pieces_of_lines
from experiments.applications.language_model.reading import setting_of
from experiments.applications.language_model.trained import Trained
from experiments.applications.lines import Line
from lm.gradflow.reach import Reach, reach
from lm.models.language_model import LanguageModel
from lm.recording import Recorded
from lm.score import Details, details
from lm.types import Array, Batch, Context, Params, Part


class Seen(NamedTuple):
    """A text of N tokens as a model read it. Step s of N + 1 reads token s, the start
    of the text at s = 0, and says what token s + 1 may be.

    pieces   its lines, see `Piece`.
    ids      (N,).
    details  arrays (N, …), see `lm.score.Details`.
    reach    (N, N), see `lm.gradflow.reach.Reach`: row t is the loss of token t + 1,
             column s step s.
    units    {layer's name: (N + 1, H)}, what each layer hands up at each step.
    """

    pieces: list[Piece]
    ids: np.ndarray
    details: Details
    reach: Reach
    units: dict[str, np.ndarray]


def read(trained: Trained, lines: list[Line], top: int, longest: int) -> Seen:
    """How the model reads these lines, in one piece; top: how many guesses.

    A model of sentences starts anew with each line, and within lines of over
    data.max_length tokens, as in training.

    Raises:
      DataError: for a text without tokens, or with more than `longest`.
    """
    config, vocabulary = trained.config, trained.vocabulary
    setting = setting_of(config, vocabulary)
    pieces = pieces_of_lines(vocabulary, setting, lines, alone=False)
    ids = np.concatenate([piece.ids for piece in pieces] or [np.zeros(0, np.int32)])
    count = len(ids)
    if not count:
        raise DataError("there is no text to read: give words with --text or --input")
    if count > longest:
        raise DataError(
            f"the text has {count:,} tokens, over --max_tokens {longest:,}: give less "
            "of it, or raise that (time and the page grow with the square)"
        )
    steps_N1 = np.append(setting.start, ids).astype(np.int32)[:, None]
    reset_N1 = np.zeros((count + 1, 1), np.float32)
    if config.data.reading == "sentences":
        longest_piece = config.data.max_length
        anew = [np.arange(len(piece.ids)) % longest_piece == 0 for piece in pieces]
        reset_N1[:, 0] = np.append(np.concatenate(anew), True)
    observed = jax.jit(partial(observe, trained.model, min(top, vocabulary.size)))
    found, far, units = observed(trained.params, steps_N1, reset_N1)
    alone = jax.tree.map(lambda x: np.array(x)[..., 0], (far, units))
    one = jax.tree.map(lambda x: np.array(x)[:, 0], found)
    return Seen(pieces, ids, one, *alone)


def observe(
    model: LanguageModel, top: int, params: Params, steps_N1: Array, reset_N1: Array
) -> tuple[Details, Reach, dict[str, Array]]:
    """(details, reach, units) of one lane of N + 1 steps, the lane the last axis, but
    of details the second."""
    state = model.initial_state(params, 1)
    recorded: dict[str, Recorded] = {}
    context = Context(reset_TB=reset_N1, recorded=recorded)
    _, hs = model.apply(params, steps_N1, state, context)
    mask_T1 = jnp.ones((len(steps_N1) - 1, 1))
    batch = Batch(steps_N1[:-1], steps_N1[1:], mask_T1, jnp.ones(1, bool))
    said = details(model.logits(params, hs[:-1]), batch.targets, mask_T1, top)
    far = reach(model, params, state, batch, reset_N1[:-1])
    units = {
        part.name: jnp.moveaxis(outputs(part, params, recorded[part.name]), 1, -1)
        for part in model.parts
    }
    return said, far, units


def outputs(part: Part, params: Params, recorded: Recorded) -> Array:
    """What a cell handed up at each step: (T, B, H)."""
    cell = part.cell
    if cell.readout is not None:
        return cell.readout(part.of(params), recorded.zs_TBG, recorded.after)
    return jax.vmap(cell.output)(recorded.after)
