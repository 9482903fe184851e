"""How the house is kept: sizes, docstrings, one training loop, commands that answer."""

import ast
import pathlib
import subprocess
import sys

import pytest

from tests.conftest import quick
from tests.source import PACKAGES, ROOT, files, is_command, module_of, of_each, parse

HOUSE = files(*PACKAGES)
TUTORIAL = pathlib.Path("experiments/tutorial")
LONGEST_FUNCTION, LONGEST_FILE, AT_THE_TOP = 60, 350, 12

# What applies an optimizer's updates, or makes a function that does.
STEPS = {
    "apply_updates",
    "make_train_step",
    "make_shared_train_step",
    "make_population_step",
}
# Who may: the loop's own room, and what steps for a purpose of its own.
MAY_STEP = {
    "lm": "defines the steps",
    "experiments/train": "the one training loop",
    "experiments/benchmark/peers.py": "times single steps beside their peers",
    "experiments/peers": "the same step in other libraries, to be timed",
    "experiments/benchmark/probe.py": "times a step beside a probe",
    "experiments/benchmark/softmax.py": "compiles a step for what it takes of memory",
    "experiments/benchmark/population.py": "times steps of many runs at once",
    "experiments/benchmark/tutorial.py": "times the tutorial's single step",
    "experiments/gradients/zoo_times.py": "times a step of each cell beside LSTM's",
    "experiments/tutorial": "takes single steps to look at each",
}
# Commands that only other commands start, and another name of one.
CHILDREN = {
    "experiments.sweep.worker",
    "experiments.benchmark.devices",
    "experiments.benchmark.data",
    "experiments.benchmark.startup",
}
COMMANDS = [module_of(path) for path in HOUSE if is_command(path)]
COMMANDS = [n.removesuffix(".__main__") for n in COMMANDS if n not in CHILDREN]
HEAVY = ("jax", "matplotlib", "optuna", "flax", "orbax", "tensorflow_datasets")


def functions(path: pathlib.Path) -> list[ast.FunctionDef]:
    return [n for n in ast.walk(parse(path)) if isinstance(n, ast.FunctionDef)]


def lines_of(path: pathlib.Path) -> list[str]:
    """A file's lines; of a chapter of the tutorial those of its code, not its prose."""
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    chapter = path.parent == TUTORIAL and lines[0].startswith("# %% [markdown]")
    return [line for line in lines if not (chapter and line.startswith("#"))]


@of_each(HOUSE)
def test_files_and_functions_are_short(path):
    lines = len(lines_of(path))
    assert lines <= LONGEST_FILE, f"{path} has {lines} lines"
    for node in functions(path):
        length = (node.end_lineno or 0) - node.lineno + 1
        assert length <= LONGEST_FUNCTION, f"{path}: {node.name} has {length} lines"


def test_little_lies_at_the_top():
    top = [path for path in files("experiments") if len(path.parts) == 2]
    assert len(top) <= AT_THE_TOP, f"{len(top)} files at the top of experiments/: {top}"


@of_each(HOUSE)
def test_what_is_public_says_what_it_is(path):
    """Docstrings of modules, classes and functions; of methods too, where no base
    class has said it already."""
    tree = parse(path)
    nodes: list[ast.FunctionDef | ast.ClassDef] = [
        node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)
    ]
    for node in list(nodes):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            own = {ast.unparse(base) for base in node.bases} <= {"NamedTuple"}
            nodes += [n for n in node.body if own and isinstance(n, ast.FunctionDef)]
    assert ast.get_docstring(tree), f"{path} has no docstring"
    for node in nodes:
        told = node.name.startswith("_") or ast.get_docstring(node)
        assert told, f"{path}:{node.lineno}: {node.name} has no docstring"


@of_each(HOUSE)
def test_only_the_one_loop_steps_an_optimizer(path):
    if any(path.is_relative_to(place) for place in MAY_STEP):
        return
    for node in ast.walk(parse(path)):
        name = getattr(node, "attr", None) or getattr(node, "id", None)
        names = {name} | {getattr(a, "name", a) for a in getattr(node, "names", ())}
        assert not names & STEPS, f"{path}:{node.lineno} steps an optimizer: {names}"


class Case:
    """A case of a test, as pytest collects it."""

    def __init__(self, *marks: str):
        self.marks = marks

    def get_closest_marker(self, name: str) -> bool:
        return name in self.marks


def test_quick_runs_the_marked_cases_or_the_first_and_nothing_slow():
    first, second, marked = Case(), Case(), Case("quick")
    assert quick([first]) == quick([first, second]) == [first]
    assert quick([first, marked, second, marked]) == [marked, marked]
    assert quick([Case("slow"), Case("slow")]) == []


def test_those_who_may_step_are_there():
    for place in MAY_STEP:
        assert (ROOT / place).exists(), f"{place} is gone: strike it from MAY_STEP"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_answers_within_a_second_and_without_jax(command):
    """The time is the processor's, since others compute on this machine too."""
    code = (
        "import runpy, sys, time\n"
        f"sys.argv = ['{command}', '--help']\n"
        f"try: runpy.run_module('{command}', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as left: assert not left.code, left.code\n"
        f"found = {{*{HEAVY}}} & set(sys.modules)\n"
        "assert not found, found\n"
        "assert time.process_time() < 1, time.process_time()\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    assert "--help" in shown.stdout, shown.stdout
