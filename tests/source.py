"""The project's own source, as the tests of its structure read it."""

import ast
import functools
import pathlib
from collections.abc import Callable, Iterable

ROOT = pathlib.Path(__file__).parents[1]
PACKAGES = ("lm", "data_pipeline", "experiments")


def files(*packages: str, root: pathlib.Path = ROOT) -> list[pathlib.Path]:
    """Every Python file of some packages, relative to the project's root."""
    found = (path for package in packages for path in (root / package).rglob("*.py"))
    return sorted(path.relative_to(root) for path in found)


@functools.cache
def parse(path: pathlib.Path, root: pathlib.Path = ROOT) -> ast.Module:
    """A file's syntax tree."""
    return ast.parse((root / path).read_text(encoding="utf-8"), str(path))


def of_each(paths: Iterable[pathlib.Path]) -> Callable:
    """Makes one test of a check of one file: all files in turn, and all that is wrong
    with any in one answer. The check itself is `checked` of the test."""

    def made(check: Callable[..., None]) -> Callable[[], None]:
        def test() -> None:
            wrong = []
            for path in paths:
                try:
                    check(path)
                except AssertionError as error:
                    wrong.append(f"{path}: {error}")
            assert not wrong, "\n".join(wrong)

        test.__name__, test.__doc__ = check.__name__, check.__doc__
        test.checked = check
        return test

    return made


def module_of(path: pathlib.Path) -> str:
    """The dotted name of a file: a.b of a/b.py and of a/b/__init__.py."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def is_command(path: pathlib.Path, root: pathlib.Path = ROOT) -> bool:
    """Whether a file is run by `python -m`: it ends in `if __name__ == "__main__"`."""
    tests = (node.test for node in parse(path, root).body if isinstance(node, ast.If))
    return any(ast.unparse(test) == "__name__ == '__main__'" for test in tests)


def statements(
    path: pathlib.Path, top_level_only: bool = False, root: pathlib.Path = ROOT
) -> list[ast.Import | ast.ImportFrom]:
    """A file's import statements, those inside functions too."""
    tree = parse(path, root)
    nodes = tree.body if top_level_only else ast.walk(tree)
    return [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]


def names_of(node: ast.Import | ast.ImportFrom, root: pathlib.Path = ROOT) -> set[str]:
    """Dotted names of what one statement imports: lm.types, jax.numpy, …

    `from a import b` counts as a.b where that is a module of ours, else as a.
    """
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    module = node.module or ""
    assert node.level == 0, f"line {node.lineno}: relative import of {module}"
    inner = root / module.replace(".", "/")
    names = set()
    for alias in node.names:
        ours = (inner / alias.name).is_dir() or (inner / f"{alias.name}.py").is_file()
        names.add(f"{module}.{alias.name}" if ours else module)
    return names


def imports(
    path: pathlib.Path, top_level_only: bool = False, root: pathlib.Path = ROOT
) -> set[str]:
    """Dotted names of all that a file imports."""
    found = (names_of(node, root) for node in statements(path, top_level_only, root))
    return set().union(*found)


def of(package: str, names: set[str]) -> set[str]:
    """Those of the names that are in a package, or are itself."""
    return {n for n in names if n == package or n.startswith(package + ".")}
