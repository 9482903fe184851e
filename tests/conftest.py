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


# A program of a test is small and runs a few times: what takes time is to compile it,
# and half of that are XLA's optimizations. So they are off, in processes of tests too.
# They are on in OPTIMIZED, where bits or times are compared or nobody has tried yet,
# and everywhere where the variable is 0.
PLAIN = "JAX_DISABLE_MOST_OPTIMIZATIONS"
AS_USERS_HAVE_IT = os.environ.get(PLAIN) == "0"
OPTIMIZED = set(
    "golden_steps scan_time train app_sentiment app_sequences app_signals "
    "benchmark cells conformance data_tasks distributed engine heads lag_profile "
    "losses lost_process model_dropout noise_scale optim parallel population "
    "population_parts predict probe restart restart_deep run study_parts "
    "sweep_faults sweep_population sweep_postgres sweep_processes sweep_study "
    "through_time train_step twins unroll".split()
)


@pytest.fixture(scope="module", autouse=True)
def programs(request) -> Iterator[None]:
    """How a module's programs are compiled; they go when it is done, since all together
    are gigabytes."""
    name = request.path.stem.removeprefix("test_")
    plain = name not in OPTIMIZED and not AS_USERS_HAVE_IT
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PLAIN, str(int(plain)))
        jax.config.update(PLAIN.lower(), plain)
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
