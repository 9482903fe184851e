"""Who may import whom, when, and what `lm` must not do, read off the source.

The one rule on imports: a command file parses its command line before it imports
anything heavy; every other file imports at its top. Nothing imports in a circle.
"""

import ast
import pathlib

import pytest

from tests.source import (
    PACKAGES,
    ROOT,
    files,
    imports,
    is_command,
    module_of,
    names_of,
    of,
    of_each,
    parse,
    statements,
)

SOURCES = files(*PACKAGES, "tests")
HOUSE = files(*PACKAGES)
LM = files("lm")
EXPERIMENTS = files("experiments")

# A module of lm imports from lower floors, and from its own package (lm.cells, …).
FLOORS = [
    {"types", "checks"},
    {"config"},
    {"lanes", "products", "precision"},
    {"events"},
    {"linear", "deferred"},
    {"cells", "unroll", "losses", "softmax", "ctc"},
    {"adapters", "attention", "dropout", "words", "recording", "heads"},
    {"layers", "problem", "optim"},
    {"truncation", "regularizers", "torch_weights", "structure"},
    {"models", "train"},
    {"parallel", "population"},
    {"generate", "score", "gradflow", "adaptive"},
]
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}

# A room or command of experiments imports from those above its line, and from itself.
ROOMS = [
    {"config", "figures"},
    {"run"},
    {"console", "results"},
    {"ngram", "peers"},
    {"applications"},
    {"train", "configs"},
    {"generate", "score", "evaluate", "launch", "predict", "export", "import_weights"},
    {"gradients", "sweep", "report", "read", "benchmark"},
    {"spaces", "readme", "tour"},
    {"records", "tutorial"},
]
ROOM = {name: floor for floor, names in enumerate(ROOMS) for name in names}

# Modules by name: registries whose values are module paths. Nothing else may.
LOADERS = {
    "lm/cells/__init__.py",
    "experiments/config.py",
    "experiments/applications/__init__.py",
    "experiments/benchmark/__init__.py",
    "experiments/gradients/__init__.py",
    "experiments/peers/__init__.py",
    "experiments/peers/apart.py",  # in a process of its own
}

BANNED = {"tensorflow", "torch", "pickle", "cloudpickle", "dill", "joblib", "shelve"}
TIMED_TORCH = "experiments/peers/torch_"  # optional, to measure against
IO_MODULES = {"io", "os", "pathlib", "shutil", "subprocess", "tempfile", "socket"}
CLOCKS = {"time", "datetime", "random", "secrets", "logging", "sys"}
IO_CALLS = {"open", "print", "input", "breakpoint", "exec", "eval"}
IO_METHODS = {"save", "savez", "load", "savetxt", "loadtxt", "tofile", "write_text"}
IO_METHODS |= {"read_text", "write_bytes", "read_bytes", "io_callback"}
JAX_FREE = ("lm.types", "lm.checks")
HEAVY = {"jax", "jaxlib", "optax", "flax", "orbax"}


@of_each(SOURCES)
def test_no_tensorflow_torch_or_pickle(path, root=ROOT):
    if path.parts[:2] == ("tests", "golden"):
        return  # the scripts that made the stored numbers
    found = {name.split(".")[0] for name in imports(path, root=root)} & BANNED
    found -= {"torch"} if path.as_posix().startswith(TIMED_TORCH) else set()
    assert not found, f"{path} imports {found}"
    for node in ast.walk(parse(path, root)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                np_is_jnp = alias.name == "jax.numpy" and alias.asname == "np"
                assert not np_is_jnp, f"{path}:{node.lineno}: import jax.numpy as jnp"
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            off = isinstance(node.value, ast.Constant) and node.value.value is False
            assert off, f"{path}:{node.value.lineno}: allow_pickle=False only"


@of_each(HOUSE)
def test_directions_between_packages(path, root=ROOT):
    package, names = path.parts[0], imports(path, root=root)
    assert not of("tests", names)
    if package != "experiments":
        assert not of("experiments", names)
    if package == "lm":
        assert not of("data_pipeline", names)
    if package == "data_pipeline":
        seen = of("lm", names)
        assert seen <= set(JAX_FREE), f"{path} imports {seen}, may see {JAX_FREE}"


def test_the_data_pipeline_needs_no_jax_but_for_tasks():
    """Tasks are sampled on the device, by who trains on them."""
    found = {
        path
        for path in files("data_pipeline")
        if {name.split(".")[0] for name in imports(path)} & HEAVY
    }
    tasks = {path for path in found if path.parts[1] == "tasks"}
    assert found == tasks and tasks


@pytest.mark.parametrize("name", JAX_FREE)
def test_what_data_pipeline_sees_of_lm_needs_no_jax(name):
    path = pathlib.Path(name.replace(".", "/") + ".py")
    if not (ROOT / path).exists():
        return
    found = {other.split(".")[0] for other in imports(path)} & HEAVY
    assert not found and not of("lm", imports(path)) - set(JAX_FREE), path


@of_each(LM)
def test_directions_inside_lm(path, root=ROOT):
    if len(path.parts) == 2 and path.stem == "__init__":
        assert not imports(path, root=root)
        return
    own = path.with_suffix("").parts[1]
    assert own in FLOOR, f"give lm.{own} a floor in tests/test_imports.py"
    for name in of("lm", imports(path, root=root)):
        other = name.split(".")[1]
        below = FLOOR[other] < FLOOR[own]
        assert other == own or below, f"{path} imports {name}, which is not below it"


@of_each(EXPERIMENTS)
def test_directions_between_rooms(path, root=ROOT):
    """Each room of experiments imports from the rooms before it."""
    if path.parts == ("experiments", "__init__.py"):
        # Signals have their handlers before anything else of a command is imported.
        ours = of("experiments", imports(path, root=root))
        assert ours <= {"experiments.console.interrupts"}
        return
    own = path.with_suffix("").parts[1]
    assert own in ROOM, f"give experiments.{own} a line in tests/test_imports.py"
    for name in of("experiments", imports(path, root=root)) - {"experiments"}:
        other = name.split(".")[1]
        before = ROOM[other] < ROOM[own]
        assert other == own or before, f"{path} imports {name}, no room before it"


@of_each(HOUSE)
def test_no_late_import_outside_commands(path, root=ROOT):
    """Every file imports at its top, but commands, and optional packages."""
    optional = {
        id(inner)
        for node in ast.walk(parse(path, root))
        if isinstance(node, ast.Try) and _expects_absence(node)
        for inner in node.body
    }
    top = {id(node) for node in statements(path, top_level_only=True, root=root)}
    for node in statements(path, root=root):
        where = f"{path}:{node.lineno}: {ast.unparse(node)}"
        if id(node) in optional:
            assert not any(of(p, names_of(node, root)) for p in PACKAGES), where
        elif id(node) not in top:
            assert is_command(path, root), f"{where}: import at the top of the file"


def _expects_absence(node: ast.Try) -> bool:
    """Whether a `try` goes on where a package is not installed."""
    kinds = [ast.unparse(h.type) for h in node.handlers if h.type]
    return any("ImportError" in k or "ModuleNotFoundError" in k for k in kinds)


@of_each(HOUSE)
def test_modules_are_loaded_by_name_in_registries_alone(path, root=ROOT):
    called = [n for n in ast.walk(parse(path, root)) if isinstance(n, ast.Call)]
    names = [ast.unparse(node.func).rpartition(".")[2] for node in called]
    if {"import_module", "__import__"} & set(names):
        assert path.as_posix() in LOADERS, f"{path} loads a module by name"


def test_nothing_imports_in_a_circle():
    circles = circles_of({module_of(path): imports(path) for path in HOUSE})
    assert not circles, f"modules that import each other: {circles}"


def circles_of(graph: dict[str, set[str]]) -> list[set[str]]:
    """The groups of modules that reach each other by imports, those inside functions
    too."""

    def reached(start: str) -> set[str]:
        seen, todo = set(), [start]
        while todo:
            for name in graph[todo.pop()] & graph.keys() - seen:
                seen.add(name)
                todo.append(name)
        return seen

    far = {name: reached(name) for name in graph}
    tied = {name for name in graph if name in far[name]}
    groups = {frozenset(o for o in tied & far[n] if n in far[o]) for n in tied}
    return [set(group) for group in groups]


@of_each(LM)
def test_lm_opens_no_file_prints_nothing_and_reads_no_clock(path, root=ROOT):
    top = {name.split(".")[0] for name in imports(path, root=root)}
    assert not top & (IO_MODULES | CLOCKS), f"{path} imports {top}"
    for node in ast.walk(parse(path, root)):
        if not isinstance(node, ast.Call):
            continue
        where = f"{path}:{node.lineno}"
        if isinstance(node.func, ast.Name):
            assert node.func.id not in IO_CALLS, f"{where}: {node.func.id}()"
        if isinstance(node.func, ast.Attribute):
            called = ast.unparse(node.func)
            assert node.func.attr not in IO_METHODS, f"{where}: {called}()"
            assert not called.startswith("jax.debug."), f"{where}: {called}()"


def test_config_needs_no_jax():
    """So that --help and a bad value answer at once."""
    heavy = HEAVY | {"numpy", "lm.cells"}
    for name in imports(pathlib.Path("lm/config.py"), top_level_only=True):
        assert name not in heavy and name.split(".")[0] not in heavy


def test_the_checks_can_fail(tmp_path):
    """Each reads what it should: files that do everything wrong are seen whole."""
    texts = {
        "lm/wrong.py": "import pickle, time\nfrom lm import model\nprint(open('x'))\n",
        "lm/model.py": "from experiments import config\n",
        "experiments/config.py": "def f():\n    from experiments.train import loop\n",
        "experiments/train/loop.py": "import experiments.config\n",
        "experiments/run/new.py": (
            "import importlib\nimportlib.import_module('x')\n"
            "try:\n    from lm import model\nexcept ImportError:\n    pass\n"
        ),
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    wrong, late, new = (
        pathlib.Path(name)
        for name in ("lm/wrong.py", "experiments/config.py", "experiments/run/new.py")
    )
    assert imports(wrong, root=tmp_path) == {"pickle", "time", "lm.model"}
    for check, path in (
        (test_no_tensorflow_torch_or_pickle, wrong),
        (test_directions_inside_lm, wrong),
        (test_lm_opens_no_file_prints_nothing_and_reads_no_clock, wrong),
        (test_directions_between_packages, pathlib.Path("lm/model.py")),
        (test_directions_between_rooms, late),
        (test_no_late_import_outside_commands, late),
        (test_no_late_import_outside_commands, new),
        (test_modules_are_loaded_by_name_in_registries_alone, new),
    ):
        with pytest.raises(AssertionError):
            check.checked(path, tmp_path)
    graph = {
        module_of(path): imports(path, root=tmp_path)
        for path in files("lm", "experiments", root=tmp_path)
    }
    assert circles_of(graph) == [{"experiments.config", "experiments.train.loop"}]
