"""Splits are read as meant or refused: corpora as archives and tools lay them out."""

from pathlib import PurePath

import pytest

from data_pipeline import corpora
from data_pipeline.config import DataConfig
from data_pipeline.corpora.layout import understand
from data_pipeline.dataset import prepare
from data_pipeline.errors import DataError
from data_pipeline.told import told
from tests.corpora import lay_out, shards, splits, texts_of

MEANT = {"train": "train text\n", "valid": "valid text\n", "test": "test text\n"}
LEAVINGS = (
    "train.txt~ #test.txt# .train.txt.swp train.txt.bak .DS_Store Thumbs.db "
    ".ipynb_checkpoints/train-checkpoint.txt __MACOSX/._train.txt .git/train.txt"
).split()
AS_MEANT = {
    "penn treebank": {**splits("ptb.{}.txt"), "README": "about\n"},
    "wikitext": splits("wikitext-2/wiki.{}.tokens"),
    "wikitext raw": splits("wiki.{}.raw"),
    "enwik8": {**splits("{}.txt"), "enwik8": "everything\n"},
    "one side of pairs": splits("{}.en"),
    "glue": splits("{}.txt", "train dev test"),
    "fairseq": splits("data/{}.txt", "train val test"),
    "validation": splits("{}", "train validation test"),
    "devel": splits("{}.txt.gz", "train devel test"),
    "speech": splits("{}.txt", "train dev eval"),
    "held out": splits("my.{}.txt", "train held-out test"),
    "eval alone is valid": splits("{}.txt", "train eval test"),
    "capitals": splits("{}.TXT", "TRAIN Valid TEST"),
    "plurals": splits("{}.txt", "training validation tests"),
    "snli": splits("snli_1.0_{}.txt", "train dev test"),
    "folders": splits("splits/{}/0.txt"),
    "leavings": {**splits("{}.txt"), **dict.fromkeys(LEAVINGS, "no data\n")},
    "readme and licence": {**splits("{}.txt"), "README.md": "x", "LICENSE": "x"},
    "a word inside a word": {**splits("{}.txt"), "latest.txt": "x", "contest.txt": "x"},
}


@pytest.mark.parametrize("name", AS_MEANT)
def test_splits_are_read_as_meant(tmp_path, name):
    """d61f4e4 dealt the files of most of these out to the splits by hash, silently."""
    assert texts_of(lay_out(tmp_path, AS_MEANT[name])) == MEANT


def test_shards_of_a_split_are_read_in_order(tmp_path):
    folder = lay_out(tmp_path, {**shards("data"), "README.md": "", ".gitignore": ""})
    texts = texts_of(folder)
    assert texts["train"] == "train 0\ntrain 1\n" and texts["valid"] == "validation 0\n"
    (tmp_path / "data" / "train-00001-of-00002.jsonl").unlink()
    with pytest.raises(DataError, match="train is not whole: .*00001-of-00002 is not"):
        texts_of(folder)


def test_numbered_files_are_shards_where_they_count_up(tmp_path):
    files = splits("{}.txt") | {"train.txt": ""}
    del files["train.txt"]
    for k in (1, 2, 10):
        files[f"train.{k}.txt"] = f"part {k}\n"
    with pytest.raises(DataError, match=r"which file is train: train\.1"):
        texts_of(lay_out(tmp_path / "a", files))
    for k in range(3, 10):
        files[f"train.{k}.txt"] = f"part {k}\n"
    train = texts_of(lay_out(tmp_path / "b", files))["train"]
    assert train == "".join(f"part {k}\n" for k in range(1, 11))


def test_a_compressed_twin_counts_once(tmp_path):
    files = {**splits("{}.txt"), "train.txt.gz": "train text\n"}
    assert texts_of(lay_out(tmp_path, files)) == MEANT
    lay_out(tmp_path, {"train.txt.gz": "another text\n"})
    with pytest.raises(DataError, match=r"train\.txt, train\.txt\.gz"):
        texts_of(tmp_path)


IMDB = {
    f"{split}/{kind}/{n}_7.txt": f"{split} {kind} {n}"
    for split in ("train", "test")
    for kind in ("pos", "neg")
    for n in range(3)
} | {"train/urls_pos.txt": "http://x\n", "imdb.vocab": "the\n", "README": "x\n"}
PTB = {**splits("data/ptb.{}.txt"), **splits("data/ptb.char.{}.txt", text="t e x t")}
PAIRS = {**splits("{}.de", text="deutsch"), **splits("{}.en")}
TWICE = {**splits("raw/{}.txt", text="Text"), **splits("tok/{}.txt")}
KAGGLE = {"train.csv": "text\na b\n", "test.csv": "text\nc\n", "submission.csv": "i"}
SAYS_TWO = {**splits("{}/1.txt"), "train/test.txt": "x\n"}
REFUSED = [
    (PTB, ["data/ptb.char.train.txt", "data/ptb.train.txt", "train={}/data/ptb.train"]),
    (PAIRS, ["train.de, train.en", "test={}/test.de"]),
    ({**splits("{}.txt"), "val.txt": "other\n"}, ["which file is valid", "val.txt"]),
    ({**splits("{}.txt"), "train.csv": "text\nx y\n"}, ["train.csv, train.txt"]),
    ({**splits("{}.txt"), "train (1).txt": "other\n"}, ["train (1).txt, train.txt"]),
    (TWICE, ["raw/train.txt, tok/train.txt"]),
    (IMDB, ["train/ (6 files)", "no file named valid", "train={}/train,test={}/test"]),
    (KAGGLE, ["train.csv", "test.csv", "no file named valid", "train={}/train.csv"]),
    ({"dev.txt": "x\n", "test.txt": "x\n"}, ["dev.txt", "no file named train"]),
    ({"train.txt": "x\n", "other.txt": "x\n"}, ["valid or test", "other.txt"]),
    (SAYS_TWO, ["folder says train", "says test"]),
    ({"readme.txt": "x", ".hidden": "x"}, ["holds no files of text"]),
]


@pytest.mark.parametrize(("files", "says"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_names_leave_open_is_refused_with_the_files(tmp_path, files, says):
    """Never dealt out, never chosen: one line that names them and what to do."""
    folder = lay_out(tmp_path, files)
    with pytest.raises(DataError) as error:
        texts_of(folder)
    assert "\n" not in str(error.value)
    for part in says:
        assert part.replace("{}", folder) in str(error.value)


def test_words_that_only_contain_a_split_are_documents(tmp_path):
    names = "contest latest training attest a-train-ride my-test-drive x y".split()
    files = {f"{name}.txt": f"about {name}\n" for name in names}
    source = corpora.load(DataConfig(corpus=lay_out(tmp_path, files)))
    assert "8 documents is dealt out" in source.facts["notes"][0]
    assert "train 6, valid 1, test 1" in source.facts["notes"][0]
    tree = ["library/test.rst", "dev/guide.rst", "a.rst", "b.rst"]
    assert not understand(map(PurePath, tree)).splits


def test_splits_can_be_said_outright(tmp_path):
    folder = lay_out(tmp_path, {**PTB, **IMDB})
    parts = [f"{s}={folder}/data/ptb.{s}.txt" for s in ("train", "valid", "test")]
    assert texts_of(",".join(parts)) == MEANT
    said = f"train={folder}/train,test={folder}/test"
    texts = texts_of(said, fractions=(0.6, 0.2, 0.2))
    assert sorted(texts["test"].split("\n")[:-1]) == sorted(
        text for name, text in IMDB.items() if name.startswith("test")
    )
    assert sum(len(texts[s].split("\n")) - 1 for s in ("train", "valid")) == 6
    assert "http" not in texts["train"] + texts["valid"]
    notes = corpora.load(DataConfig(corpus=said)).facts["notes"]
    assert any("train 5, valid 1" in note for note in notes)
    lines = "".join(f"line {n}\n" for n in range(20))
    lay_out(tmp_path, {"one.txt": lines, "held-1.txt": "x\n", "held-2.txt": "y\n"})
    texts = texts_of(f"train={folder}/one.txt,test={folder}/held-*")
    assert texts["train"] + texts["valid"] == lines and texts["test"] == "x\ny\n"
    for wrong in (f"valid={folder}/one.txt", "train=,test=x", f"train={folder}/no"):
        with pytest.raises(DataError):
            texts_of(wrong)


def test_what_is_dealt_out_is_told_with_counts(tmp_path):
    folder = lay_out(tmp_path, {"t/text.txt": "some words\n" * 100, "t/README": "x"})
    lines = told(prepare(DataConfig(corpus=folder)).corpus)
    assert "train 990, valid 55, test 55 characters" in lines[0]
    assert any("not read, beside the data: 1 (t/README)" in line for line in lines)
    beside = lay_out(tmp_path / "b", splits("{}.txt", "train dev test"))
    long = {"train.txt": "some words\n" * 100}
    notes = corpora.load(
        DataConfig(corpus=lay_out(tmp_path / "b", long) + "/train.txt")
    )
    assert any("dev.txt, test.txt beside it" in n for n in notes.facts["notes"])
    lay_out(tmp_path / "b", {"test.txt": "valid text\n"})
    lines = told(prepare(DataConfig(corpus=beside)).corpus)
    assert "valid and test hold the same text" in lines


def test_links_are_followed_and_leavings_not_entered(tmp_path):
    lay_out(tmp_path / "store", splits("{}.txt"))
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "linked").symlink_to(tmp_path / "store")
    (tmp_path / "store" / "loop").symlink_to(tmp_path / "corpus")
    assert texts_of(tmp_path / "corpus") == MEANT
