"""The READMEs: their tables are the rows, their lists the files, their blocks run."""

import ast
import contextlib
import functools
import importlib
import io
import pathlib
import re
import shlex

import pytest

from experiments.config import load_named
from experiments.console.command_line import parse
from experiments.readme.marks import marks, with_tables
from experiments.readme.pages import generated
from experiments.readme.tree import first_sentence, readmes
from experiments.run.files import RunError
from tests.source import ROOT, files
from tests.source import parse as tree_of
from tests.sweeps import sweep_here, table, write_space

READMES = {path: path.read_text(encoding="utf-8") for path in readmes(ROOT)}
LINK = re.compile(r"\]\(([^)#]+)(#[^)]*)?\)")


def blocks(language: str) -> list[str]:
    """The blocks of a language in all READMEs."""
    pattern = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [block for text in READMES.values() for block in pattern.findall(text)]


def commands() -> list[str]:
    """Every line of the shell blocks, once each."""
    lines = "\n".join(blocks("bash")).replace("\\\n", " ").splitlines()
    lines = [
        line.removeprefix(".venv/bin/").partition("#")[0].strip() for line in lines
    ]
    return list(dict.fromkeys(filter(None, lines)))


def test_tables_are_the_rows_and_lists_the_files():
    for path, text in generated().items():
        assert text == READMES[path], "run python -m experiments.records --readme"


def test_the_door_is_no_book():
    assert len(READMES[ROOT / "README.md"].splitlines()) <= 220


def test_every_readme_lists_its_files():
    for path, text in READMES.items():
        assert path.parent == ROOT or "files" in marks(text), path


@pytest.mark.parametrize("path", READMES, ids=str)
def test_tests_that_are_named_are_there(path):
    named = set(re.findall(r"`(test_\w+)`", READMES[path]))
    named -= {name for file in files("tests") for name in names_in(file)}
    assert not named, f"{path} names {named}"


@functools.cache
def names_in(file: pathlib.Path) -> set[str]:
    """Of the functions in a file."""
    nodes = ast.walk(tree_of(file))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("path", READMES, ids=str)
def test_links_lead_somewhere(path):
    for target, _ in LINK.findall(READMES[path]):
        there = (path.parent / target).exists()
        assert there or target.startswith("http"), f"{path}: {target}"


def test_marks_without_a_table_or_an_end_are_told():
    text = "<!-- table: a -->\nold\n<!-- end: a -->\n"
    assert with_tables(text, {"a": "new\n"}) == text.replace("old", "new")
    with pytest.raises(RunError, match="a table 'a' that is not made"):
        with_tables(text, {"b": ""})
    with pytest.raises(RunError, match="lacks its <!-- end: a -->"):
        with_tables(text.replace("end: a", "end: b"), {"a": ""})


def test_first_sentences_are_whole(tmp_path):
    path = tmp_path / "x.py"
    for text, told in (
        ("One: of a\nline. Two.", "One: of a\nline."),
        (
            "Greff et al. 2015, an\nodyssey: which? More.",
            "Greff et al. 2015, an\nodyssey: which?",
        ),
        ("No stop\n\nMore.", "No stop"),
    ):
        path.write_text(f'"""{text}"""')
        assert first_sentence(path) == " ".join(told.split())


@functools.cache
def help_of(module: str, *command: str) -> str:
    """What a command's --help prints."""
    package = (ROOT / module.replace(".", "/")).is_dir()
    main = importlib.import_module(f"{module}.__main__" if package else module).main
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        with pytest.raises(SystemExit) as left:
            main([*command, "--help"])
    assert not left.value.code
    return shown.getvalue()


@pytest.mark.parametrize("line", commands())
def test_commands_are_accepted(line):
    """Flags of `train` parse; other modules know each --flag by their help."""
    words = shlex.split(line)
    if words[0] in ("make", "sbatch"):
        known = {"make": rf"^{words[1]}:", "sbatch": "^#SBATCH"}[words[0]]
        file = "Makefile" if words[0] == "make" else words[1]
        assert re.search(known, (ROOT / file).read_text("utf-8"), re.MULTILINE)
        return
    assert words[:2] == ["python", "-m"], line
    module, *given = words[2:]
    if module == "experiments.launch":
        given, rest = given[: given.index("--")], given[given.index("--") + 1 :]
        assert parse(rest, "")[0].name
    if module == "experiments.train":
        assert parse(given, "")[0].name
        return
    shown = help_of(module, *(given[:1] if module == "data_pipeline" else []))
    for flag in (w for w in given if w.startswith("--")):
        assert flag in shown


def python_block(what: str) -> str:
    """The one Python block that has `what` in it."""
    (found,) = [block for block in blocks("python") if what in block]
    return found


def test_the_cell_of_ones_own_is_the_file_that_the_tests_run():
    path = ROOT / "tests" / "examples" / "own_cell.py"
    assert python_block("cell_of(step") == path.read_text(encoding="utf-8")


def test_the_application_of_ones_own_trains_is_probed_and_reported(tmp_path):
    """In under 80 lines, which are those in the README."""
    from experiments.applications import APPLICATIONS
    from experiments.report.build import report
    from experiments.run.files import read_json
    from tests.examples import own_application as own

    path = ROOT / "tests" / "examples" / "own_application.py"
    text = path.read_text(encoding="utf-8")
    assert python_block("class SignConfig") == text and text.count("\n") < 80
    try:
        config = own.SignConfig(train=own.TrainConfig(epochs=2))
        own.train(config, own.Options(tmp_path / "run"), ())
        found = read_json(tmp_path / "run" / "summary.json")
        assert found["scores"]["test"]["loss"] < 0.6
        page = report([tmp_path / "run"], tmp_path / "page.html", spectra=False)
        assert "lag" in page.read_text(encoding="utf-8")
    finally:
        del APPLICATIONS["sign"]


@pytest.mark.usefixtures("compile_cache")
def test_the_new_cell_trains_samples_sweeps_and_is_plotted(monkeypatch, tmp_path):
    """The README's cell, registered by one line, in a run from end to end, on a page
    with its lag profile, and in a sweep over cells."""
    import dataclasses

    from experiments.config import Config, TrainConfig
    from experiments.console.command_line import Options
    from experiments.generate import Generate, generate
    from experiments.report.build import report
    from experiments.train.session import train
    from lm.cells import CELLS
    from lm.config import ModelConfig

    found: dict = {}
    exec(compile(python_block("def mgu"), "README.md", "exec"), found)
    monkeypatch.setitem(CELLS, "own", found["mgu"])
    data = dataclasses.replace(
        load_named("tour").data, corpus="grammar", grammar_sentences=60
    )
    config = Config(
        data=dataclasses.replace(data, batch=4, window=8),
        model=ModelConfig(cell="own", hidden=8, embedding=8),
        train=TrainConfig(epochs=0, steps=3, samples=0),
    )
    run_dir = train(config, Options(tmp_path / "run"), ())
    assert run_dir is not None
    texts = generate(Generate(run=str(run_dir), samples=2, max_tokens=5))
    assert len(texts) == 2
    page = report([run_dir], tmp_path / "page.html", spectra=False)
    assert "lag" in page.read_text(encoding="utf-8")
    cells = {"choice": ["own", "tanh"]}
    fields = {"model.cell": cells, "optim.learning_rate": 0.01}
    sweep_here(write_space(tmp_path, **fields), "--sweep-dir", tmp_path / "sweep")
    trials = table(tmp_path / "sweep")
    assert {t["fields"]["model.cell"] for t in trials} == {"own", "tanh"}
    assert {t["state"] for t in trials} == {"complete"}
    assert "own" in (tmp_path / "sweep" / "sweep.html").read_text(encoding="utf-8")


def test_every_named_config_says_what_it_reproduces():
    for path in (ROOT / "experiments" / "configs").glob("[a-z]*.py"):
        text = path.read_text(encoding="utf-8")
        assert "Reproduces" in text and "Command" in text, path
        assert load_named(path.stem).name == path.stem
