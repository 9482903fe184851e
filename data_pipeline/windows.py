"""Windows of a text, one a lane, for what is measured and not trained."""

from typing import Any, NamedTuple

import numpy as np

from data_pipeline.errors import DataError


class Windows(NamedTuple):
    """(T, B) int32 ids each; a target is the token after its input."""

    inputs_TB: Any
    targets_TB: Any


def windows(ids: np.ndarray, steps: int, lanes: int) -> Windows:
    """At most `lanes` windows of `steps` tokens, spread evenly over a text (N,) without
    overlapping: fewer and then one shorter one where it is short.

    Raises:
      DataError: for a text of fewer than 3 tokens.
    """
    if len(ids) < 3:
        raise DataError(f"a text of {len(ids)} tokens has no window; give a longer one")
    steps = min(steps, len(ids) - 1)
    lanes = min(lanes, (len(ids) - 1) // steps)
    starts_B = np.linspace(0, len(ids) - 1 - steps, lanes).astype(np.int64)
    at_TB = starts_B + np.arange(steps)[:, None]
    return Windows(ids[at_TB].astype(np.int32), ids[at_TB + 1].astype(np.int32))
