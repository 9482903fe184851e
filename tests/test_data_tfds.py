"""TFDS in and out, and the command line."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data_pipeline import corpora
from data_pipeline.config import DataConfig
from data_pipeline.corpora.text import SPLITS
from data_pipeline.corpora.tfds import Spec, parse
from data_pipeline.dataset import prepare
from data_pipeline.errors import DataError

ROOT = Path(__file__).parents[1]
SHAKESPEARE = ROOT / ".." / "shared" / "data" / "tiny_shakespeare" / "input.txt"
pytest.importorskip("tensorflow_datasets")
pytest.importorskip("array_record")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def command(*arguments, code=2, cwd=ROOT):
    """Run `python -m data_pipeline …`; its output, or what it says of an error."""
    done = subprocess.run(
        [sys.executable, "-m", "data_pipeline", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=600,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
    )
    assert done.returncode == code, done.stderr
    return done.stderr if code else done.stdout


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "My text.txt"
    path.write_text("".join(f"line {i} é中\n\n" for i in range(200)) + "the end")
    return path


@pytest.fixture(scope="module")
def exported(text, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    said = command("export", text, "--out", out, "--tokenizer", "characters", code=0)
    assert "tfds.builder_from_directory" in said
    return out / "my_text_txt" / "1.0.0"


def test_export_opens_elsewhere(text, exported):
    """With nothing of ours, and without TensorFlow being imported."""
    code = (
        "import sys\n"
        "import tensorflow_datasets as tfds\n"
        f"builder = tfds.builder_from_directory({str(exported)!r})\n"
        "for split in ('train', 'validation', 'test'):\n"
        "    for row in builder.as_data_source(split):\n"
        "        sys.stdout.buffer.write(row['text'])\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=600
    )
    assert done.stdout.decode() == text.read_text(), done.stderr
    record = json.loads((exported / "corpus.json").read_text())
    assert record["name"] == "My text.txt"
    assert not [p for p in exported.parents[1].iterdir() if p.name[0] == "."]


def test_what_was_exported_comes_back(text, exported):
    back = prepare(DataConfig(corpus=f"tfds:{exported}:text", tokenizer="characters"))
    original = prepare(DataConfig(corpus=str(text), tokenizer="characters"))
    assert back.vocabulary == original.vocabulary
    for name in SPLITS:
        one, two = back.splits[name].ids, original.splits[name].ids
        np.testing.assert_array_equal(one, two)


def test_export_refuses_to_overwrite(text, exported):
    said = command("export", text, "--out", exported.parents[1])
    assert said.startswith("error:") and "is there already" in said


@pytest.mark.parametrize(
    ("corpus", "says"),
    [
        ("tfds:", "names no dataset"),
        ("tfds:no_such_data", "has no dataset 'no_such_data'"),
        ("tfds:tiny_shakespeare", "curl -L --create-dirs -o .*input.txt https://"),
    ],
)
def test_what_is_missing_is_said_at_once(tmp_path, corpus, says):
    with pytest.raises(DataError, match=says) as error:
        prepare(DataConfig(corpus=corpus, tfds_dir=str(tmp_path)))
    assert "\n" not in str(error.value)


def test_a_wrong_feature_is_answered_with_those_there_are(exported):
    with pytest.raises(DataError, match="it has: text"):
        prepare(DataConfig(corpus=f"tfds:{exported}:txt"))


def test_names_are_taken_apart():
    assert parse("tfds:glue/sst2:sentence") == Spec("glue/sst2", "sentence")
    assert parse("tfds:imdb_reviews") == Spec("imdb_reviews", "")


def test_tiny_shakespeare_by_its_own_builder(tmp_path):
    if not SHAKESPEARE.exists():
        pytest.skip("tiny_shakespeare is not beside this repository (../shared/data)")
    manual = tmp_path / "downloads" / "manual"
    manual.mkdir(parents=True)
    (manual / "input.txt").write_bytes(SHAKESPEARE.read_bytes())
    data = prepare(
        DataConfig(
            corpus="tfds:tiny_shakespeare",
            tfds_dir=str(tmp_path),
            tokenizer="characters",
        )
    )
    plain = prepare(DataConfig(corpus=str(SHAKESPEARE), tokenizer="characters"))
    assert data.vocabulary == plain.vocabulary
    for name in SPLITS:
        np.testing.assert_array_equal(data.splits[name].ids, plain.splits[name].ids)
    again = corpora.load(
        DataConfig(corpus="tfds:tiny_shakespeare:text", tfds_dir=str(tmp_path))
    )
    assert again.facts["splits"] == "the dataset's own"


def test_a_wrong_download_is_not_taken(tmp_path):
    manual = tmp_path / "downloads" / "manual"
    manual.mkdir(parents=True)
    (manual / "input.txt").write_text("not Shakespeare")
    with pytest.raises(DataError, match="wrong checksum"):
        prepare(DataConfig(corpus="tfds:tiny_shakespeare", tfds_dir=str(tmp_path)))


def test_inspect_prints_and_draws(text, tmp_path):
    plot = tmp_path / "plots" / "x.png"
    said = command(
        "inspect", text, "--vocabulary", 40, "--samples", 3, "--plot", plot, code=0
    )
    config = DataConfig(corpus=str(text), max_vocabulary=40)
    assert prepare(config).corpus.fingerprint in said
    assert re.search(r"40 of \d+ types kept", said) and "coverage of train" in said
    assert said.count("before |") == 3 and "<unk>" in said
    assert plot.read_bytes()[:4] == b"\x89PNG" and plot.stat().st_size > 5000


def test_inspect_of_a_missing_column_names_those_there_are(tmp_path):
    (tmp_path / "a.csv").write_text("id,body\n1,x\n")
    said = command("inspect", tmp_path / "a.csv", "--column", "text")
    assert said.count("\n") == 1 and "its columns: id, body" in said


def test_clean_shows_and_removes(text, tmp_path):
    config = DataConfig(
        corpus=str(text), in_memory=0, cache_dir=str(tmp_path), workers=1
    )
    prepare(config)
    assert "My text.txt" in command("clean", "--cache-dir", tmp_path, code=0)
    assert "My text.txt" in command("--clean", "--cache-dir", tmp_path, code=0)
    command("clean", "--cache-dir", tmp_path, "--remove", code=0)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_command_is_one_line():
    said = command("inpsect", "grammar")
    assert said.count("\n") == 1 and "did you mean 'inspect'" in said
