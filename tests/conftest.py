"""Guards that are on for every test, and fixtures for those that are not.

Warnings are errors (pyproject.toml). Arrays of different rank never broadcast.
Modules about `lm` alone add `pytestmark = pytest.mark.usefixtures("strict")`.
"""

import gc
import os
import signal
from collections.abc import Iterator
from functools import cache
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import pytest
from jax._src import compiler
from jax.experimental.compilation_cache import compilation_cache

from data_pipeline import buckets
from data_pipeline.buckets import bucket_lengths

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
FIRST = ("sweep", "study", "distributed", "lost", "population", "train", "restart")
FIRST += ("run", "report", "old_runs", "score", "engine", "checkpoint", "long_memory")


def pytest_addoption(parser: pytest.Parser) -> None:
    """What `make check` asks for."""
    told = "of a test's cases those marked quick or else the first, and no slow test"
    parser.addoption("--quick", action="store_true", help=told)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]):
    """FIRST files first, each in its own order; of --quick what it says."""
    items.sort(key=lambda i: not i.path.stem.removeprefix("test_").startswith(FIRST))
    if config.getoption("quick", False):
        cases: dict[str, list[pytest.Item]] = {}
        for item in items:
            cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
        kept = {id(item) for test in cases.values() for item in quick(test)}
        config.hook.pytest_deselected(items=[i for i in items if id(i) not in kept])
        items[:] = [i for i in items if id(i) in kept]


def quick(cases: list[pytest.Item]) -> list[pytest.Item]:
    """Those of a test's cases that --quick runs."""
    if any(case.get_closest_marker("slow") for case in cases):
        return []
    marked = [case for case in cases if case.get_closest_marker("quick")]
    return marked or cases[:1]


# A program of a test is small and runs a few times: what takes time is to compile it,
# and half of that are XLA's optimizations. So they are off, in processes of tests too.
# They are on in OPTIMIZED, where numbers of such programs are kept, times are compared
# or bits of a run are what users have; and everywhere where the variable is 0.
PLAIN = "JAX_DISABLE_MOST_OPTIMIZATIONS"
AS_USERS_HAVE_IT = os.environ.get(PLAIN) == "0"
OPTIMIZED = {"golden_steps", "scan_time", "train", "run", "sweep_processes"}


def understood(options: dict[str, bool | int]) -> dict[str, bool | int]:
    """Those that this version of XLA has."""
    found = {}
    for name, value in options.items():
        try:
            jax.jit(lambda: 0, compiler_options={name: value})()
            found[name] = value
        except jax.errors.JaxRuntimeError as error:
            assert "No such compile option" in str(error)
    return found


# Off with the optimizations: loops of fused operations written by way of MLIR, which is
# half of what is left, and the division of a program between threads.
SIMPLE = understood(
    {"xla_cpu_use_fusion_emitters": False, "xla_cpu_parallel_codegen_split_count": 1}
)
options_of = compiler.get_compile_options


def simply(*given, **named):
    """JAX's options of a compilation, with those of SIMPLE."""
    options = options_of(*given, **named)
    options.env_option_overrides = [*options.env_option_overrides, *SIMPLE.items()]
    return options


@pytest.fixture(scope="session")
def compiled(tmp_path_factory) -> Path:
    """The folder where what is compiled is kept, for both workers and all modules."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    compilation_cache.reset_cache()
    gc.collect()
    gc.freeze()  # what was imported stays: not to be looked at again and again
    gc.set_threshold(20_000, 20, 20)
    return folder / "compiled"


@pytest.fixture(scope="module", autouse=True)
def programs(request, compiled) -> Iterator[None]:
    """How a module's programs are compiled, and where they are kept; in memory they go
    when it is done, since all together are gigabytes."""
    name = request.path.stem.removeprefix("test_")
    plain = name not in OPTIMIZED and not AS_USERS_HAVE_IT
    options = {
        PLAIN.lower(): plain,
        "jax_compilation_cache_dir": str(compiled),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PLAIN, str(int(plain)))
        if plain:
            flags = [f"--{name}={value}".lower() for name, value in SIMPLE.items()]
            own = os.environ.get("XLA_FLAGS", "")
            patch.setenv("XLA_FLAGS", " ".join([own, *flags]).strip())
            patch.setattr(compiler, "get_compile_options", simply)
        for option, value in options.items():
            jax.config.update(option, value)
        yield
    jax.clear_caches()


@pytest.fixture(scope="module")
def compile_cache(compiled) -> Path:
    """Where what is compiled is kept, for processes that a test starts."""
    return compiled


@pytest.fixture(scope="module")
def few_lengths() -> Iterator[None]:
    """Sequences are padded to one of two lengths at most: each is compiled."""

    def fewer(lengths, most):
        return bucket_lengths(lengths, min(most, 2))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(buckets, "bucket_lengths", fewer)
        yield


@pytest.fixture(scope="module")
def one_program() -> Iterator[None]:
    """Commands that score, one after another: each makes its model and step anew, and
    here those of one config are the same functions, which are compiled once."""
    from experiments.applications.language_model import scoring, trained
    from experiments.score import pairs

    with pytest.MonkeyPatch.context() as patch:
        for module, name in (
            (trained, "build"),
            (pairs, "make_score_step"),
            (scoring, "make_score_step"),
            (scoring, "make_details_step"),
        ):
            patch.setattr(module, name, cache(getattr(module, name)))
        yield


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
