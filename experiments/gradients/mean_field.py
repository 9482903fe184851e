"""Mean-field theory of wide tanh networks: the gain at which gradients hold.

Poole et al. 2016 and Schoenholz et al. 2017, with inputs. Of units whose recurrent
weights have variance σ²/H and whose inputs x·W_x + b have variance s, pre-activations
have variance q and a disturbance grows by χ a step, in its square:

    q = σ²·E tanh²(√q·z) + s        χ = σ²·E sech⁴(√q·z)        z ~ N(0, 1)
"""

import numpy as np
from scipy.optimize import root_scalar

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(96)
WEIGHTS = WEIGHTS / WEIGHTS.sum()
ITERATIONS = 1_000


def growth(gain: float, variance: float) -> float:
    """χ for σ = gain and s = variance."""
    q = gain**2 + variance
    for _ in range(ITERATIONS):
        q = gain**2 * float(WEIGHTS @ np.tanh(np.sqrt(q) * NODES) ** 2) + variance
    slopes = 1 - np.tanh(np.sqrt(q) * NODES) ** 2
    return gain**2 * float(WEIGHTS @ slopes**2)


def critical_gain(variance: float) -> float:
    """The σ at which χ = 1; 1 without inputs, more the larger they are.

    Raises:
      ValueError: for s so large that it is not below 4.
    """
    found = root_scalar(lambda gain: growth(gain, variance) - 1, bracket=(0.9, 4.0))
    return float(found.root)
