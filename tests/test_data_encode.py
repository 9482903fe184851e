"""Cutting text: the fast ways give what the plain ways give, for any text."""

import unicodedata
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from data_pipeline.bpe import load_bpe, train_bpe
from data_pipeline.config import DataConfig
from data_pipeline.dataset import prepare
from data_pipeline.encode import Cut, cut_lines, encode_block
from data_pipeline.graphemes import split_graphemes
from data_pipeline.new_text import encode_text
from data_pipeline.tokenizers import TOKENIZERS
from data_pipeline.vocabulary import EOS_ID, UNK_ID, Vocabulary, build_vocabulary

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

# NUL never reaches the tokenizers, and reading leaves no \r\n.
TEXTS = st.text(
    st.one_of(
        st.sampled_from("ab'- .\n\n<unk>\t\u00a0\u0301é中か\u200d👩🏽🇫🇷각\u1100\u1161"),
        st.characters(exclude_characters="\0\r", exclude_categories=("Cs",)),
    ),
    max_size=60,
)


def plain(text, cut):
    """Tokens of each line, by the tokenizer's own split, as the documentation says."""
    lines = [TOKENIZERS[cut.tokenizer].split(line) for line in cut_lines(text, cut)]
    return [line for line in lines if line and len(line) >= cut.min_length]


def spelled(encoded):
    lines, line = [], []
    for number in encoded.numbers:
        if number:
            line.append(encoded.words[number])
        else:
            lines.append(line)
            line = []
    assert not line
    return lines


CUTS = [
    Cut(name, lower=lower, split_sentences=sentences, min_length=least)
    for name in ("words", "reversible", "whitespace", "characters", "bytes")
    for lower, sentences, least in (
        (False, False, 0),
        (True, True, 0),
        (False, True, 3),
    )
]


@pytest.mark.parametrize("cut", CUTS, ids=str)
@given(text=TEXTS)
@example(text="a\x1cb c\x85d\u2028e\n\n f")
def test_fast_equals_plain(cut, text):
    assert spelled(encode_block(text, cut)) == plain(text, cut)


@pytest.mark.parametrize("name", ["characters", "bytes"])
@given(text=TEXTS)
def test_text_without_marks_comes_back_whole(name, text):
    encoded = encode_block(text, Cut(name, marks=False))
    tokens = [encoded.words[n] for n in encoded.numbers]
    assert tokens == TOKENIZERS[name].split(text)
    assert TOKENIZERS[name].join(tokens) == text


@pytest.mark.parametrize(
    ("text", "clusters"),
    [
        ("e\u0301a", ["e\u0301", "a"]),
        ("👨‍👩‍👧x", ["👨‍👩‍👧", "x"]),
        ("🇫🇷🇩🇪", ["🇫🇷", "🇩🇪"]),
        ("👍🏽", ["👍🏽"]),
        ("नमस्ते", ["न", "म", "स्", "ते"]),
        ("\u1112\u1161\u11ab글", ["\u1112\u1161\u11ab", "글"]),
        ("กำ", ["กำ"]),
        ("a\r\n\n\u0301", ["a", "\r\n", "\n", "\u0301"]),
        ("عَرَبِي", ["عَ", "رَ", "بِ", "ي"]),
    ],
)
def test_graphemes(text, clusters):
    assert split_graphemes(text) == clusters


@given(TEXTS)
def test_graphemes_keep_marks_with_their_base(text):
    clusters = split_graphemes(text)
    assert "".join(clusters) == text
    for before, cluster in zip(clusters, clusters[1:], strict=False):
        alone = unicodedata.category(cluster[0])[0] == "M"
        assert not alone or unicodedata.category(before[-1]) == "Cc"


@given(TEXTS, st.lists(st.sampled_from(["a", "é", "中"]), max_size=2))
def test_dropping_lines(text, parts):
    cut = Cut("whitespace", drop_containing=tuple(parts))
    expected = [line for line in text.split("\n") if not any(p in line for p in parts)]
    assert list(cut_lines(text, cut)) == expected


def test_paragraphs_are_unwrapped_into_sentences():
    text = "One sentence that\nis wrapped. Two!\n\nA paragraph\n\n\nThree? Yes.\n"
    assert list(cut_lines(text, Cut("words", split_sentences=True))) == [
        "One sentence that is wrapped.",
        "Two!",
        "A paragraph",
        "Three?",
        "Yes.",
    ]


def test_bytes_know_every_text(tmp_path):
    (tmp_path / "x.txt").write_text("plain text only\n" * 30)
    data = prepare(DataConfig(corpus=str(tmp_path / "x.txt"), tokenizer="bytes"))
    assert data.vocabulary.size == 2 + 256
    ids = encode_text(data.vocabulary, None, ["añ中👩‍👧\n"], marks=False).ids
    assert UNK_ID not in ids
    tokens = data.vocabulary.decode(ids)
    assert TOKENIZERS["bytes"].join(tokens) == "añ中👩‍👧\n"


@pytest.fixture(scope="module")
def subwords():
    pytest.importorskip("tokenizers")
    text = "the cat sat on the mat, the cat is fat\nlow lower lowest newer newest\n"
    return train_bpe([text * 20], 300)


@given(text=TEXTS)
def test_subwords_bring_any_text_back(subwords, text):
    tokenizer = load_bpe(subwords)
    line = text.replace("\n", " ")
    tokens = tokenizer.split(line)
    assert tokenizer.join(tokens) == line
    assert set(tokens) <= set(tokenizer.alphabet)
    encoded = encode_block(text, Cut("bpe", subwords))
    lines = [tokenizer.split(line) for line in text.split("\n")]
    assert spelled(encoded) == [line for line in lines if line]


def test_subwords_from_text_to_vocabulary_and_back(tmp_path):
    pytest.importorskip("tokenizers")
    text = "".join(f"the number {i} follows number {i - 1}\n" for i in range(400))
    (tmp_path / "x.txt").write_text(text)
    config = DataConfig(
        corpus=str(tmp_path / "x.txt"), tokenizer="bpe", max_vocabulary=320
    )
    data = prepare(config)
    assert (
        data.vocabulary.size == 320 and data.corpus.facts["unknown_rate"]["test"] == 0
    )
    data.vocabulary.save(tmp_path / "vocabulary.json")
    vocabulary = Vocabulary.load(tmp_path / "vocabulary.json")
    assert vocabulary == data.vocabulary == prepare(config).vocabulary
    ids = encode_text(vocabulary, None, ["the number 中 follows"]).ids
    assert ids[-1] == EOS_ID and UNK_ID not in ids
    back = load_bpe(vocabulary.model).join(vocabulary.decode(ids[:-1]))
    assert back == "the number 中 follows"
    with pytest.raises(ValueError, match="258 or more"):
        prepare(DataConfig(corpus=config.corpus, tokenizer="bpe", max_vocabulary=100))


@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(1, 6))
def test_balanced_classes(counts, classes):
    words = {f"w{i}": n for i, n in enumerate(counts)}
    vocabulary = build_vocabulary(words, 3)
    bounds = vocabulary.balanced_classes(classes)
    assert bounds[0] == 0 and len(bounds) <= classes
    assert all(
        a < b < vocabulary.size for a, b in zip(bounds, bounds[1:], strict=False)
    )
    shares = np.add.reduceat(vocabulary.counts, bounds)
    assert max(shares) <= sum(vocabulary.counts) / classes + max(vocabulary.counts)


def test_alphabet_is_kept_whatever_the_limit():
    counts = Counter("aaaabbbcc")
    vocabulary = build_vocabulary(counts, 1, max_size=4, alphabet=("z", "c"))
    assert vocabulary.tokens == ("<eos>", "<unk>", "c", "z")
    assert vocabulary.counts == (1, 7, 2, 0)
