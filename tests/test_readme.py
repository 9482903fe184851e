"""The README: its tables are the rows, its tree is the tree, its blocks run."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.config import load_named
from experiments.console.command_line import parse
from experiments.readme.markdown import with_tables
from experiments.readme.tables import tables
from experiments.readme.tree import tree
from experiments.results.rows import rows

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    """Every `python -m …` line of the README's shell blocks, as words."""
    lines = "\n".join(blocks("bash")).replace("\\\n", " ").splitlines()
    lines = [line.removeprefix(".venv/bin/") for line in lines]
    return [shlex.split(line) for line in lines if line.startswith("python -m")]


def test_tables_are_made_of_the_rows():
    generated = {**tables(rows()), "tree": tree()}
    assert with_tables(README, generated) == README, (
        "run python -m experiments.records --readme"
    )


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_commands_are_accepted(words):
    """Flags of `train` parse; other modules know each --flag by their help."""
    module, *given = words[2:]
    if module == "experiments.launch":
        own, rest = given[: given.index("--")], given[given.index("--") + 1 :]
        assert parse(rest, "")[0].name
        given = own
    if module == "experiments.train":
        assert parse(given, "")[0].name
        return
    command = given[:1] if module == "data_pipeline" else []
    shown = subprocess.run(
        [sys.executable, "-m", module, *command, "--help"],
        capture_output=True,
        text=True,
    )
    assert shown.returncode == 0
    for flag in (w for w in given if w.startswith("--")):
        assert flag in shown.stdout


def python_block(what: str) -> str:
    """The one Python block that has `what` in it."""
    (found,) = [block for block in blocks("python") if what in block]
    return found


def test_the_cell_of_ones_own_is_the_file_that_the_tests_run():
    path = ROOT / "tests" / "examples" / "own_cell.py"
    assert python_block("cell_of(step") == path.read_text(encoding="utf-8")


def test_the_new_cell_trains_and_samples(monkeypatch, tmp_path):
    """The README's cell, registered by one line, in a run from end to end."""
    import dataclasses

    from experiments.applications.language_model.writing import generate
    from experiments.config import Config, TrainConfig
    from experiments.console.command_line import Options
    from experiments.generate import Generate
    from experiments.train.display import Silent
    from experiments.train.session import train
    from lm.cells import CELLS
    from lm.config import ModelConfig

    found: dict = {}
    exec(compile(python_block("def mgu"), "README.md", "exec"), found)
    monkeypatch.setitem(CELLS, "mgu", found["mgu"])
    data = dataclasses.replace(
        load_named("default").data, corpus="grammar", grammar_sentences=60
    )
    config = Config(
        data=dataclasses.replace(data, batch=4, window=8),
        model=ModelConfig(cell="mgu", hidden=8, embedding=8),
        train=TrainConfig(epochs=0, steps=3, samples=0),
    )
    run_dir = train(config, Options(tmp_path / "run"), Silent())
    assert run_dir is not None
    texts = generate(Generate(run=str(run_dir), samples=2, max_tokens=5))
    assert len(texts) == 2


def test_every_named_config_says_what_it_reproduces():
    for path in (ROOT / "experiments" / "configs").glob("[a-z]*.py"):
        text = path.read_text(encoding="utf-8")
        assert "Reproduces" in text and "Command" in text, path
        assert load_named(path.stem).name == path.stem
