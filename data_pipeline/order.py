"""Random orders and numbers that are the same on every machine and version."""

import numpy as np


def shuffled(size: int, *key: int) -> np.ndarray:
    """A permutation of range(size) that is the same wherever it is computed."""
    return np.argsort(random_bits(size, *key), kind="stable")


def random_uniform(size: int, *key: int) -> np.ndarray:
    """(size,) float64, uniform on the open interval (0, 1)."""
    return ((random_bits(size, *key) >> np.uint64(12)) + 0.5) / 2**52


def random_bits(size: int, *key: int) -> np.ndarray:
    """(size,) uint64 from SplitMix64 (Steele 2014) of (key, position).

    NumPy's own generators may give other streams in other versions of NumPy.
    """
    state = np.array([0x2545F4914F6CDD1D], np.uint64)
    for part in key:
        state = _mix(state ^ np.array([part], np.int64).astype(np.uint64))
    return _mix(state ^ np.arange(size, dtype=np.uint64))


def _mix(x: np.ndarray) -> np.ndarray:
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
