"""Guards that are on for every test, and fixtures for those that are not.

Warnings are errors (pyproject.toml). Arrays of different rank never broadcast.
Modules about `lm` alone add `pytestmark = pytest.mark.usefixtures("strict")`.
"""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_num_cpu_devices", 2)  # for what is shared between devices


@pytest.fixture
def strict():
    """No implicit dtype promotion. For `lm` alone: optax.adam does not pass it."""
    with jax.numpy_dtype_promotion("strict"):
        yield


@pytest.fixture
def no_leaks():
    """A tracer that escapes its function is an error."""
    with jax.checking_leaks():
        yield


@pytest.fixture
def fresh_keys():
    """A random key that is used twice is an error."""
    with jax.debug_key_reuse(True):
        yield


@pytest.fixture
def x64():
    """Double precision."""
    with jax.enable_x64(True):
        yield
