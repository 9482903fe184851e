"""Who may import whom, and what `lm` must not do, read off the source."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
SOURCES = sorted(
    path.relative_to(ROOT)
    for package in ("lm", "data_pipeline", "experiments", "tests")
    for path in (ROOT / package).rglob("*.py")
)
LM = [path for path in SOURCES if path.parts[0] == "lm"]

# A module of lm imports from lower floors, and from its own package (lm.cells, …).
FLOORS = [
    {"types", "config"},
    {"products"},
    {"cells", "unroll", "losses", "adapters"},
    {"dropout", "layers"},
    {"model", "optim"},
    {"truncation", "heads", "regularizers"},
    {"train"},
    {"parallel", "population"},
    {"generate", "score", "gradflow"},
]
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}

BANNED = {"tensorflow", "torch", "pickle", "cloudpickle", "dill", "joblib", "shelve"}
IO_MODULES = {"io", "os", "pathlib", "shutil", "subprocess", "tempfile", "socket"}
CLOCKS = {"time", "datetime", "random", "secrets", "logging", "sys"}
IO_CALLS = {"open", "print", "input", "breakpoint", "exec", "eval"}
IO_METHODS = {"save", "savez", "load", "savetxt", "loadtxt", "tofile", "write_text"}
IO_METHODS |= {"read_text", "write_bytes", "read_bytes", "io_callback"}


def parse(path: pathlib.Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), str(path))


def imports(path: pathlib.Path, top_level_only: bool = False) -> set[str]:
    """Dotted names of all that a file imports: lm.types, jax.numpy, …

    `from a import b` counts as a.b where that is a module of ours, else as a.
    """
    tree = parse(path)
    names = set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            module = node.module or ""
            inner = ROOT / module.replace(".", "/")
            for alias in node.names:
                ours = (inner / alias.name).is_dir()
                ours |= (inner / f"{alias.name}.py").is_file()
                names.add(f"{module}.{alias.name}" if ours else module)
    return names


def of(package: str, names: set[str]) -> set[str]:
    return {n for n in names if n == package or n.startswith(package + ".")}


def by_path(paths):
    return pytest.mark.parametrize("path", paths, ids=str)


@by_path(SOURCES)
def test_no_tensorflow_torch_or_pickle(path):
    if path.parts[:2] == ("tests", "golden"):
        return  # the scripts that made the stored numbers
    found = {name.split(".")[0] for name in imports(path)} & BANNED
    assert not found, f"{path} imports {found}"
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                np_is_jnp = alias.name == "jax.numpy" and alias.asname == "np"
                assert not np_is_jnp, f"{path}:{node.lineno}: import jax.numpy as jnp"
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            off = isinstance(node.value, ast.Constant) and node.value.value is False
            assert off, f"{path}:{node.value.lineno}: allow_pickle=False only"


@by_path(SOURCES)
def test_directions_between_packages(path):
    package, names = path.parts[0], imports(path)
    if package in ("lm", "data_pipeline"):
        assert not of("experiments", names) and not of("tests", names)
    if package == "experiments":
        assert not of("tests", names)
    if package == "lm":
        assert not of("data_pipeline", names)
    if package == "data_pipeline":
        assert of("lm", names) <= {"lm.types"}, "data_pipeline may see lm.types only"


@by_path(LM)
def test_directions_inside_lm(path):
    if len(path.parts) == 2 and path.stem == "__init__":
        assert not imports(path)
        return
    own = path.with_suffix("").parts[1]
    assert own in FLOOR, f"give lm.{own} a floor in tests/test_imports.py"
    for name in of("lm", imports(path)):
        other = name.split(".")[1]
        below = FLOOR[other] < FLOOR[own]
        assert other == own or below, f"{path} imports {name}, which is not below it"


@by_path(LM)
def test_lm_opens_no_file_prints_nothing_and_reads_no_clock(path):
    top = {name.split(".")[0] for name in imports(path)}
    assert not top & (IO_MODULES | CLOCKS), f"{path} imports {top}"
    for node in ast.walk(parse(path)):
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
    heavy = {"jax", "optax", "flax", "orbax", "numpy", "lm.types", "lm.cells"}
    for name in imports(pathlib.Path("lm/config.py"), top_level_only=True):
        assert name not in heavy and name.split(".")[0] not in heavy


def test_the_checks_can_fail(tmp_path, monkeypatch):
    """Each reads what it should: a file that does everything wrong is seen whole."""
    wrong = tmp_path / "lm" / "wrong.py"
    wrong.parent.mkdir()
    wrong.write_text("import pickle, time\nfrom lm import model\nprint(open('x'))\n")
    (tmp_path / "lm" / "model.py").write_text("")
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    path = wrong.relative_to(tmp_path)
    assert imports(path) == {"pickle", "time", "lm.model"}
    for check in (
        test_no_tensorflow_torch_or_pickle,
        test_directions_inside_lm,
        test_lm_opens_no_file_prints_nothing_and_reads_no_clock,
    ):
        with pytest.raises(AssertionError):
            check(path)
