"""Guards that are on for every test, and fixtures for those that are not.

Warnings are errors (pyproject.toml). Arrays of different rank never broadcast.
Modules about `lm` alone add `pytestmark = pytest.mark.usefixtures("strict")`.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

# Who started the tests (nohup, a job in the background) may ignore these signals, and
# so would all processes of theirs; what is tested is what they do otherwise.
for number, usual in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, usual)

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_num_cpu_devices", 2)  # for what is shared between devices


# Files that train runs or start processes, by how their names begin. They go first, so
# that no worker is left alone with one of them when the others are done.
SLOW = ("sweep", "study", "distributed", "lost", "population", "train", "restart")
SLOW += ("run", "report", "old_runs", "score", "engine", "checkpoint", "long_memory")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow files first, each in its own order."""
    items.sort(key=lambda i: not i.path.stem.removeprefix("test_").startswith(SLOW))


@pytest.fixture(scope="module", autouse=True)
def forget_programs():
    """What a module compiled goes when it is done: all together are gigabytes."""
    yield
    jax.clear_caches()


@pytest.fixture(scope="module")
def compile_cache(tmp_path_factory) -> Iterator[Path]:
    """The folder where what is compiled is kept, for this process and its children.

    Modules whose tests train runs of few shapes use it; one folder serves them all.
    """
    folder = tmp_path_factory.getbasetemp() / "compiled"
    options = {
        "jax_compilation_cache_dir": str(folder),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
    }
    before = {name: getattr(jax.config, name) for name in options}
    for name, value in options.items():
        jax.config.update(name, value)
    yield folder
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


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
