"""Pairs of sentences of a config, read, checked and encoded."""

import hashlib
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from data_pipeline.corpora import bilingual, grammar
from data_pipeline.corruption import corrupt
from data_pipeline.pairs import (
    EncodedPairs,
    check_pairs,
    encode_lines,
    learn_vocabulary,
)
from data_pipeline.parallel_text import Bitext, read_parallel
from data_pipeline.vocabulary import Vocabulary
from experiments.applications.correction.config import MistakesConfig
from experiments.applications.translation.config import PairsConfig

EXAMINED = 1_000  # pairs for validation and for the test, of what is made here
MISTAKES = MistakesConfig()  # of `corrupted`: those of `correction`


class Translations(NamedTuple):
    """What a run knows of its pairs.

    texts        {split: Bitext}; none in a run whose data are gone.
    vocabularies of sources and targets.
    fingerprint  of all texts.
    """

    texts: dict[str, Bitext]
    vocabularies: tuple[Vocabulary, Vocabulary]
    fingerprint: str = ""


def read(config: PairsConfig) -> dict[str, Bitext]:
    """The texts of each split.

    Raises:
      DataError: see `data_pipeline.parallel_text.read_parallel`.
    """
    if config.corpus not in MADE:
        return read_parallel(config.corpus, config.source, config.target, config.test)
    few = min(EXAMINED, max(1, config.sentences // 10))
    sizes = {"train": config.sentences, "valid": few, "test": few}
    return MADE[config.corpus](sizes, config.seed, config.longest)


def translated(sizes: dict[str, int], seed: int, longest: int) -> dict[str, Bitext]:
    """Sentences of `bilingual` in both languages, of at most so many words; 0: any."""
    found = {}
    for split, size in sizes.items():
        pairs = bilingual.sample(size, f"{seed}:{split}", longest)
        sources, targets = [p.source for p in pairs], [p.target for p in pairs]
        found[split] = Bitext(sources, targets)
    return found


def corrupted(sizes: dict[str, int], seed: int, longest: int) -> dict[str, Bitext]:
    """Sentences of `grammar` with a mistake in each of four out of five, and as they
    were, of at most so many words; 0: as many as `correction` looks at. Those of
    validation and test begin as those that it is asked."""
    lines = {
        split: [line.split() for line in grammar.sample(size, f"{seed}:{split}").lines]
        for split, size in sizes.items()
    }
    counts = Counter(word for words in lines["train"] for word in words)
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    frequent = [word for word in ranked if word.isalpha()][: MISTAKES.frequent]
    found = {}
    for number, (split, sentences) in enumerate(lines.items()):
        pairs = [
            corrupt(tuple(words), frequent, MISTAKES.intact, seed, number, n)
            for n, words in enumerate(sentences)
            if len(words) <= (longest or MISTAKES.longest)
        ]
        found[split] = Bitext(
            [" ".join(pair.source) for pair in pairs],
            [" ".join(pair.target) for pair in pairs],
        )
    return found


MADE = {"bilingual": translated, "corrupted": corrupted}


def learnt(config: PairsConfig, texts: dict[str, Bitext]) -> Translations:
    """The texts with the vocabularies of their training split."""
    cut = config.tokenizer, config.max_vocabulary, config.min_count, config.lower
    train = texts["train"]
    sides = train.sources, train.targets
    vocabularies = tuple(learn_vocabulary(lines, *cut) for lines in sides)
    digest = hashlib.sha256()
    for split, text in texts.items():
        for lines in (text.sources, text.targets):
            digest.update(f"{split}\n".encode())
            digest.update("\n".join(lines).encode("utf-8", "surrogatepass"))
    return Translations(texts, vocabularies, digest.hexdigest())  # type: ignore[arg-type]


def encoded(known: Translations, split: str, longest: int) -> EncodedPairs:
    """A split as ids.

    Raises:
      DataError: for a sentence of more than `longest` tokens.
    """
    text = known.texts[split]
    sides = zip((text.sources, text.targets), known.vocabularies, strict=True)
    pairs = EncodedPairs(*(encode_lines(lines, words) for lines, words in sides))
    check_pairs(pairs, longest, text.places, split)
    return pairs


def name_of(config: PairsConfig) -> str:
    """The corpus in a few words."""
    if config.corpus in MADE:
        return config.corpus
    return f"{Path(config.corpus).name}, {config.source} to {config.target}"
