"""Tokenizers and the vocabulary: round trips for any text."""

import json
import unicodedata
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from data_pipeline.config import DataConfig
from data_pipeline.errors import DataError
from data_pipeline.sentences import split_sentences
from data_pipeline.tokenizers import TOKENIZERS
from data_pipeline.tokens import EOS
from data_pipeline.vocabulary import UNK_ID, Vocabulary, build_vocabulary

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

TEXTS = st.text(max_size=80)
WORDS = st.lists(st.text("abcé中", min_size=1, max_size=3), min_size=1, max_size=60)


@pytest.mark.parametrize("name", [name for name in TOKENIZERS if name != "bpe"])
@given(text=TEXTS)
@example(text="0\x1b0")
def test_tokens_are_a_fixed_point_of_join_and_split(name, text):
    tokenizer = TOKENIZERS[name]
    tokens = tokenizer.split(text)
    assert tokenizer.split(tokenizer.join(tokens)) == tokens


@given(TEXTS)
def test_characters_lose_nothing(text):
    assert "".join(TOKENIZERS["characters"].split(text)) == text


@given(TEXTS)
def test_words_lose_nothing_but_what_cannot_be_seen(text):
    tokens = TOKENIZERS["words"].split(text)
    assert visible("".join(tokens)) == visible(text)
    assert all(map(visible, tokens))


# Scripts, signs and what English prose has of them; no white space but single spaces.
VISIBLE = "aZé9_\"'“”‘’()[]{}<>.,;:!?-"
VISIBLE += "–—…/\\%$€@#&*+=~^|`«»¿中文字かなカ。，「」ไทยनमعب한👩🏽🇫🇷️\u0301"


@given(st.lists(st.text(VISIBLE, min_size=1, max_size=12), max_size=8))
def test_reversible_words_come_back_as_they_stood(chunks):
    text = " ".join(chunks)
    tokenizer = TOKENIZERS["reversible"]
    tokens = tokenizer.split(text)
    assert tokenizer.join(tokens) == text
    assert [t.strip("￭") for t in tokens] == TOKENIZERS["words"].split(text)


@given(TEXTS)
def test_reversible_words_lose_white_space_and_what_cannot_be_seen(text):
    tokenizer = TOKENIZERS["reversible"]
    back = tokenizer.join(tokenizer.split(text))
    assert visible(back) == visible(text.replace("￭", "■"))
    assert back == " ".join(back.split())


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ('say "no-one" (f(x)).', 'say "￭ no-one ￭" ( f ￭( x ) ) .'),
        ("http://x.y/ 3.14 a , b", "http : ￭/ ￭/￭ x .￭ y ￭/ 3 .￭ 14 a ￭, b"),
        ("用Python写 代码。", "用￭ Python ￭写 ￭代 码 。"),
        ("ok👍🏽 --n", "ok ￭👍🏽 - ￭-￭ n"),
    ],
)
def test_the_rule_for_reversible_words(text, tokens):
    assert TOKENIZERS["reversible"].split(text) == tokens.split()
    assert TOKENIZERS["reversible"].join(tokens.split()) == text


# Of Unicode's format characters those that can be seen.
SIGNS = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2"
SIGNS += "\U000110bd\U000110cd"


def visible(text):
    """The characters that are neither white space nor control nor format ones."""
    hidden = ("Cc", "Cf")
    return "".join(
        c
        for c in text
        if c in SIGNS
        or not (c.isspace() or unicodedata.category(c) in hidden or c in "\u3164\uffa0")
    )


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("a\u200bb", ["a", "b"]),
        ("co\u00adop", ["coop"]),
        ("\ufeffone x\ufeffy \u200e", ["one", "xy"]),
        ("❤️ 👨‍👩‍👧 👍🏽 🇫🇷🇩🇪 1️⃣", ["❤️", "👨‍👩‍👧", "👍🏽", "🇫🇷", "🇩🇪", "1️⃣"]),
        (".\u0301 か\u3099", [".\u0301", "か\u3099"]),
        ("می\u200cخواهم \u200d", ["می\u200cخواهم"]),
        ("\x1b[31mred\x07", ["[", "31mred"]),
    ],
)
def test_what_cannot_be_seen_is_no_token(text, tokens):
    """And a sign that is made of several characters is one token."""
    words = TOKENIZERS["words"]
    assert words.split(text) == tokens
    assert words.split(words.join(tokens)) == tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Don't stop the built-in's.", "Don't stop the built-in's ."),
        ("f(x, -1) != <unk>", "f ( x , - 1 ) ! = <unk>"),
        ("3.14 'quoted'", "3 . 14 ' quoted '"),
        ("L’été à Paris…", "L’été à Paris …"),
        ("我爱你, ok", "我 爱 你 , ok"),
        ("नमस्ते दुनिया", "नमस्ते दुनिया"),
        ("مرحبا بالعالم!", "مرحبا بالعالم !"),
    ],
)
def test_the_rule_for_words(text, tokens):
    assert TOKENIZERS["words"].split(text) == tokens.split()


def test_sentences_end_where_the_rule_says():
    text = "See e.g. Mr. Foo (it's here). It doesn't. Is it so?  Yes! X is 3. y is not."
    assert split_sentences(text) == [
        "See e.g. Mr. Foo (it's here).",
        "It doesn't.",
        "Is it so?",
        "Yes!",
        "X is 3. y is not.",
    ]
    assert split_sentences("你好。再见！") == ["你好。", "再见！"]


@given(TEXTS)
def test_sentence_splitting_loses_only_white_space(text):
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())


@given(WORDS, st.integers(3, 12), st.integers(1, 3))
def test_vocabulary_keeps_the_most_frequent(words, size, least):
    counts = Counter(words)
    vocabulary = build_vocabulary(counts, 7, max_size=size, min_count=least)
    expected = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    expected = [(t, n) for t, n in expected if n >= least][: size - 2]
    assert vocabulary.tokens == (EOS, "<unk>", *(t for t, _ in expected))
    assert sum(vocabulary.counts) == len(words) + 7
    ids = vocabulary.encode(words)
    assert int(np.sum(ids == UNK_ID)) == vocabulary.counts[UNK_ID]
    kept = set(vocabulary.tokens)
    want = [w if w in kept else "<unk>" for w in words]
    assert vocabulary.decode(ids) == want


@given(WORDS, st.booleans())
def test_vocabulary_survives_json(tmp_path_factory, words, lower):
    path = tmp_path_factory.mktemp("vocabulary") / "vocabulary.json"
    vocabulary = build_vocabulary(Counter(words), 1, tokenizer="words", lower=lower)
    vocabulary.save(path)
    assert Vocabulary.load(path) == vocabulary
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    json.loads(path.read_text(encoding="utf-8"))


def test_literal_unk_is_unk_and_foreign_json_is_refused(tmp_path):
    vocabulary = build_vocabulary({"<unk>": 5, "a": 1}, 1)
    assert vocabulary.tokens == (EOS, "<unk>", "a")
    assert vocabulary.id_of("<unk>") == UNK_ID and vocabulary.counts[UNK_ID] == 5
    (tmp_path / "other.json").write_text('{"tokens": []}')
    with pytest.raises(DataError, match="not a vocabulary"):
        Vocabulary.load(tmp_path / "other.json")


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("tokenizer", "wrods", "did you mean 'words'"),
        ("reading", "stream", "did you mean 'streams'"),
        ("batch", 0, "at least 1"),
        ("max_vocabulary", 2, "0 for no limit"),
        ("fractions", (0.9, 0.2, 0.2), "sum to 1"),
        ("fractions", (float("nan"), 0.2, 0.2), "sum to 1"),
    ],
)
def test_bad_settings_say_what_is_allowed(field, value, says):
    with pytest.raises(DataError, match=says):
        DataConfig(**{field: value})
