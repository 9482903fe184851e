"""Corpora: files and their errors, the standard library's text, real corpora."""

import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipeline import store
from data_pipeline.config import DataConfig
from data_pipeline.corpora import stdlib_docs
from data_pipeline.corpora.dealing import (
    cut_blocks,
    cut_positions,
    split_documents,
)
from data_pipeline.corpora.text import SPLITS, joined
from data_pipeline.dataset import prepare
from data_pipeline.errors import DataError
from data_pipeline.new_text import encode_text

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

SHARED = Path(__file__).parents[1] / ".." / "shared" / "data"


def shared(name):
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{name} is not beside this repository (../shared/data)")
    return str(path)


def write_splits(folder, ending, texts=("a b\nc a\n", "a d\n", "b\n")):
    folder.mkdir(exist_ok=True)
    for name, text in zip(("train", "valid", "test"), texts, strict=True):
        data = text.encode()
        data = gzip.compress(data) if ending.endswith("gz") else data
        (folder / f"{name}{ending}").write_bytes(data)
    return str(folder)


@pytest.mark.parametrize("ending", ["", ".txt", ".gz", ".txt.gz"])
def test_a_folder_is_read_with_its_own_splits(tmp_path, ending):
    folder = write_splits(tmp_path / "corpus", ending)
    data = prepare(DataConfig(corpus=folder))
    assert data.vocabulary.tokens == ("<eos>", "<unk>", "a", "b", "c")
    assert data.vocabulary.counts == (2, 0, 2, 1, 1)
    assert data.splits["train"].ids.tolist() == [2, 3, 0, 4, 2, 0]
    assert data.splits["valid"].ids.tolist() == [2, 1, 0]
    assert data.splits["train"].starts.tolist() == [0, 3, 6]
    assert data.splits["train"].ids.dtype == np.uint8
    assert data.corpus.facts["unknown_rate"]["valid"] == pytest.approx(1 / 3)
    assert data.corpus.facts["rarest_kept"] == ["c", 1]


def test_characters_as_streams_keep_the_text(tmp_path):
    text = "".join(f"line {i}\n" for i in range(40))
    (tmp_path / "text.txt").write_text(text)
    config = DataConfig(corpus=str(tmp_path / "text.txt"), tokenizer="characters")
    data = prepare(config)
    back = "".join(
        "".join(data.vocabulary.decode(data.splits[name].ids)) for name in SPLITS
    )
    assert len(data.splits["train"].ids) == int(0.9 * len(text))
    train = len(data.splits["train"].ids)
    assert back[:train] == text[:train] and len(back) == len(text)
    again = encode_text(data.vocabulary, None, [text[:train]], marks=False)
    np.testing.assert_array_equal(again.ids, data.splits["train"].ids)


def test_a_file_is_cut_at_lines_for_words():
    lines = [f"{i} word\n" for i in range(100)]
    cuts = cut_positions(len("".join(lines)), (0.8, 0.1, 0.1))
    parts = [part for part in cut_blocks(iter(lines), cuts, True)]
    assert [text for _, text in parts] == lines
    sizes = [sum(split == name for split, _ in parts) for name in SPLITS]
    assert sizes == [81, 10, 9]


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=20),
    st.integers(0, 99),
    st.integers(0, 99),
    st.integers(1, 30),
)
def test_cuts_are_the_same_however_the_text_is_blocked(lengths, first, second, size):
    text = "".join("x" * n + "\n" for n in lengths)
    cuts = (min(first, len(text)), min(max(first, second), len(text)))
    for whole_lines in (True, False):
        plain = [cut if not whole_lines else _next_line(text, cut) for cut in cuts]
        expected = [text[: plain[0]], text[plain[0] : plain[1]], text[plain[1] :]]
        lines = (line + "\n" for line in text.split("\n")[:-1])
        got = dict.fromkeys(SPLITS, "")
        for split, part in cut_blocks(joined(lines, size), cuts, whole_lines):
            got[split] += part
        assert list(got.values()) == expected


def _next_line(text, at):
    return at if at == 0 or text[at - 1] == "\n" else text.index("\n", at) + 1


def test_documents_are_dealt_out_whole_and_stably():
    names = [f"d{i}" for i in range(200)]
    sizes = [1 + i % 7 for i in range(200)]
    dealt = split_documents(names, sizes, (0.8, 0.1, 0.1), 0)
    assert sorted(i for part in dealt.values() for i in part) == list(range(200))
    total = sum(sizes)
    shares = [sum(sizes[i] for i in dealt[name]) / total for name in SPLITS]
    np.testing.assert_allclose(shares, (0.8, 0.1, 0.1), atol=0.02)
    assert dealt != split_documents(names, sizes, (0.8, 0.1, 0.1), 1)
    few = split_documents(["a", "b", "c"], [1, 1, 1], (0.9, 0.05, 0.05), 0)
    assert all(len(part) == 1 for part in few.values())


def test_folder_of_documents(tmp_path):
    for i in range(20):
        (tmp_path / f"doc{i}.txt").write_text(f"only-in-{i}\n" * 5)
    data = prepare(DataConfig(corpus=str(tmp_path), fractions=(0.8, 0.1, 0.1)))
    assert data.corpus.facts["unknown_rate"]["valid"] > 0.4
    assert data.vocabulary.size == 2 + 16


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: p.joinpath("x.txt").write_bytes(b"ab\n\xff\n"), "offset 3"),
        (lambda p: p.joinpath("x.txt").write_bytes(b" \n"), "is empty"),
        (lambda p: None, "no file or folder"),
        (lambda p: p.joinpath("x.txt").mkdir(), "holds no files"),
        (lambda p: p.joinpath("x.txt").write_bytes(b"one\n"), "valid split"),
    ],
)
def test_bad_files_give_one_clear_line(tmp_path, make, says):
    make(tmp_path)
    with pytest.raises(DataError, match=says) as error:
        prepare(DataConfig(corpus=str(tmp_path / "x.txt")))
    assert "\n" not in str(error.value)


def test_more_bad_sources(tmp_path):
    with pytest.raises(DataError, match="did you mean 'grammar'"):
        prepare(DataConfig(corpus="gramar"))
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"words " * 99)[:-12])
    with pytest.raises(DataError, match="cannot read"):
        prepare(DataConfig(corpus=str(tmp_path / "x.gz")))
    folder = write_splits(tmp_path / "corpus", ".txt")
    (tmp_path / "corpus" / "valid.txt").unlink()
    with pytest.raises(DataError, match="no file named valid"):
        prepare(DataConfig(corpus=folder))


@pytest.fixture(scope="module")
def stdlib():
    return prepare(DataConfig())


def test_stdlib_docs_is_large_clean_and_leaks_nothing(stdlib):
    facts = stdlib.corpus.facts
    assert facts["sentences"]["train"] > 7_000
    total = sum(facts["tokens"].values())
    assert 0.75 < facts["tokens"]["train"] / total < 0.85
    sentences = {name: set(_sentences(split)) for name, split in stdlib.splits.items()}
    raw = stdlib_docs.load(DataConfig()).splits
    assert len(set(raw["train"]) & set(raw["test"] + raw["valid"])) == 0
    lines = [line for name in SPLITS for line in raw[name]]
    assert len(lines) == len(set(lines))
    assert not any(">>>" in line or "::=" in line for line in lines)
    assert len(sentences["test"]) > 500
    assert prepare(DataConfig()).corpus == stdlib.corpus


def _sentences(split):
    for start, stop in zip(split.starts[:-1], split.starts[1:], strict=True):
        yield tuple(split.ids[start:stop].tolist())


def test_prose_is_found_and_code_is_not():
    text = """Return the sum of `a` and `b`.

    It is exact, e.g. for
    integers.  See also PEP 8.

        >>> add(1, 2)
        3

    - first: Lists have items that are sentences.
    =====  =====
    Name   Value
    x = 3
    add(a, b) -> int
    """
    assert stdlib_docs.prose_sentences(text) == [
        "Return the sum of a and b.\n",
        "It is exact, e.g. for integers.\n",
        "See also PEP 8.\n",
        "Lists have items that are sentences.\n",
    ]


class TestDocumentsThatAreKept:
    """What was read of the standard library is read once, and anew when it changed."""

    @pytest.fixture
    def asked(self, tmp_path, monkeypatch):
        """(what keeps documents of a folder with one file, the file, its readings)."""
        source, cache, read = tmp_path / "lib" / "a.py", tmp_path / "cache", []
        source.parent.mkdir()
        source.write_text('"""This is a sentence of a docstring."""\n')

        def counted(root):
            read.append(root)
            return real(root)

        real = stdlib_docs.read_documents
        monkeypatch.setattr(stdlib_docs, "read_documents", counted)
        kept = stdlib_docs.kept_documents.__wrapped__
        return lambda: kept(source.parent, cache), source, cache, read

    def test_once(self, asked):
        documents, source, cache, read = asked
        assert documents() == {"a.py": ["This is a sentence of a docstring.\n"]}
        assert documents() == documents() and len(read) == 1
        assert [entry.name for entry in store.prepared(cache)] == [
            "stdlib_docs, as read"
        ]
        source.write_text('"""This is another sentence."""\n')
        assert documents() == {"a.py": ["This is another sentence.\n"]}
        assert len(read) == 2

    def test_anew_where_the_cache_is_damaged(self, asked):
        documents, _, cache, read = asked
        first = documents()
        (kept,) = cache.glob("stdlib_docs-*/documents.json")
        kept.write_text("{")
        assert documents() == documents() == first and len(read) == 2

    def test_without_a_cache_that_can_be_written(self, asked):
        documents, _, cache, read = asked
        cache.write_text("a file")
        assert documents() == documents() and len(read) == 2


def independent_count(text, counts=None):
    """Tokens, by another way than the pipeline's."""
    return Counter(word for line in text.splitlines() for word in line.split(" "))


def test_counts_agree_with_an_independent_count(tmp_path):
    lines = ["the cat sat on the mat", "the dog", "a cat"] * 20
    (tmp_path / "x.txt").write_text("\n".join(lines) + "\n")
    data = prepare(DataConfig(corpus=str(tmp_path / "x.txt"), tokenizer="whitespace"))
    train = int(len(data.splits["train"].starts) - 1)
    counts = independent_count("\n".join(lines[:train]))
    assert dict(zip(data.vocabulary.tokens[2:], data.vocabulary.counts[2:])) == counts  # noqa: B905


def test_penn_treebank_has_its_published_sizes():
    folder = shared("ptb")
    data = prepare(DataConfig(corpus=folder, tokenizer="whitespace"))
    sizes = {name: split.ids.size for name, split in data.splits.items()}
    assert sizes == {"train": 929_589, "valid": 73_760, "test": 82_430}
    assert data.vocabulary.size == 10_000
    assert data.splits["train"].ids.dtype == np.uint16
    with gzip.open(f"{folder}/train.txt.gz", "rt") as file:
        counts = Counter(file.read().split())
    kept = dict(zip(data.vocabulary.tokens, data.vocabulary.counts, strict=True))
    assert kept.pop("<eos>") == 42_068
    assert kept == counts


def test_tiny_shakespeare_is_split_as_tfds_does():
    path = shared("tiny_shakespeare/input.txt")
    data = prepare(DataConfig(corpus=path, tokenizer="characters"))
    sizes = [data.splits[name].ids.size for name in SPLITS]
    assert sizes == [1_003_854, 55_770, 55_770]
    text = Path(path).read_text()
    back = "".join(data.vocabulary.decode(data.splits["test"].ids))
    assert back == text[-55_770:]
