"""`grammar`: sentences from a probabilistic grammar whose entropy is known exactly.

A context-free grammar of ours with readable English: number agreement between subject
and verb across relative clauses, centre embedding, complement clauses, questions. Each
string has one derivation only (after its first words every choice shows in the next
terminal, and the number of a phrase shows in its noun), so the entropy of derivations
is the entropy of strings, and no model can have a lower expected loss.

For a nonterminal A with rules r of probability p_r, and M[A, B] the expected number of
B in one expansion of A, entropies and expected lengths solve linear systems:

    H = (I − M)⁻¹ h,  h[A] = −Σ_r p_r ln p_r        E = (I − M)⁻¹ n,  n[A] terminals

Nats per token are H[S] / (E[S] + 1), the 1 being `<eos>`.
(Grenander 1967; Booth & Thompson 1973: consistent when M's spectral radius is < 1.)
"""

import bisect
import functools
import itertools
import math
import random
from typing import NamedTuple

import numpy as np

from data_pipeline.config import DataConfig
from data_pipeline.corpora.text import Text

# One rule a line: weight, then symbols. Symbols with rules are nonterminals; `_n`
# stands for both numbers, sg and pl, in turn.
RULES = """
S:        6 Claim . | 1.5 Claim , Link Claim . | 1 When Claim , Claim . | 1 Ask ?
Claim:    5.5 NP_sg VP_sg | 4.5 NP_pl VP_pl
Ask:      6 does NP_sg VP_pl | 4 do NP_pl VP_pl
Link:     5 and | 3 but | 1 so
When:     4 when | 3 if | 2 because
NP:       6 NP_sg | 4 NP_pl
NP_n:     9 Det_n Nom_n | 1.6 Det_n Nom_n Place | 2.4 Det_n Nom_n that Rel_n
Rel_n:    6 VP_n | 2.4 NP_sg Sees_sg | 1.6 NP_pl Sees_pl
Nom_n:    7 Noun_n | 3 Adj Nom_n
Place:    1 Near the Spot
VP_n:     4 Runs_n | 1.5 Runs_n Adv | 5 Sees_n NP | 1.2 Says_n that Claim
"""

# Words by falling frequency: the k-th of a list has weight 1/k (Zipf).
WORDS = {
    "Det_sg": "the a this every each",
    "Det_pl": "the some these two many",
    "Adj": "small big young happy tall quiet clever brave hungry lazy wise strange",
    "Near": "in near behind under",
    "Spot": "garden house forest river market village school bridge tower field",
    "Adv": "quickly often slowly again loudly today alone gladly",
}
NOUNS = (
    "dog cat man:men woman:women child:children teacher farmer bird king doctor "
    "sailor horse singer writer wolf:wolves student baker soldier mouse:mice painter"
)
RUNS = "sleep run laugh sing dance wait smile swim jump work"
SEES = "see like know help hear find follow watch:watches draw thank fear trust"
SAYS = "say think believe know-well hope"


Rules = dict[str, list[tuple[float, tuple[str, ...]]]]


class Sampled(NamedTuple):
    """Sentences as lines, and the exact log-probability (nats) of each."""

    lines: list[str]
    log_probabilities: np.ndarray


@functools.cache
def rules() -> Rules:
    """The grammar: for each nonterminal its (probability, symbols) pairs."""
    lines = [line.split(":", 1) for line in RULES.strip().splitlines()]
    grammar: Rules = {}
    for head, body in lines:
        for number in ("sg", "pl") if head.endswith("_n") else ("",):
            bodies = body.replace("_n ", f"_{number} ").replace("_n\n", f"_{number}\n")
            bodies = [b.split() for b in f"{bodies} ".split("|")]
            symbols = [
                tuple(s[:-1] + number if s.endswith("_n") else s for s in b[1:])
                for b in bodies
            ]
            weights = [float(b[0]) for b in bodies]
            name = head[:-1] + number if number else head
            grammar[name] = _normalised(weights, symbols)
    for name, words in _word_lists().items():
        zipf = [1 / k for k in range(1, len(words) + 1)]
        grammar[name] = _normalised(zipf, [(word,) for word in words])
    return grammar


def _normalised(
    weights: list[float], symbols: list[tuple[str, ...]]
) -> list[tuple[float, tuple[str, ...]]]:
    total = math.fsum(weights)
    return [(w / total, s) for w, s in zip(weights, symbols, strict=True)]


@functools.cache
def word_classes() -> frozenset[str]:
    """The nonterminals that become one word."""
    return frozenset(_word_lists())


def _word_lists() -> dict[str, list[str]]:
    lists = {name: words.split() for name, words in WORDS.items()}
    nouns = [pair.partition(":") for pair in NOUNS.split()]
    lists["Noun_sg"] = [one for one, _, _ in nouns]
    lists["Noun_pl"] = [many or f"{one}s" for one, _, many in nouns]
    for name, verbs in (("Runs", RUNS), ("Sees", SEES), ("Says", SAYS)):
        pairs = [pair.partition(":") for pair in verbs.split()]
        lists[f"{name}_pl"] = [base for base, _, _ in pairs]
        lists[f"{name}_sg"] = [third or f"{base}s" for base, _, third in pairs]
    return lists


@functools.cache
def exact() -> tuple[float, float]:
    """(entropy of a sentence in nats, expected tokens in it with `<eos>`)."""
    grammar = rules()
    names = list(grammar)
    index = {name: i for i, name in enumerate(names)}
    expected = np.zeros((len(names), len(names)))
    entropy, terminals = np.zeros(len(names)), np.zeros(len(names))
    for name, productions in grammar.items():
        i = index[name]
        for p, symbols in productions:
            entropy[i] -= p * math.log(p)
            for symbol in symbols:
                if symbol in index:
                    expected[i, index[symbol]] += p
                else:
                    terminals[i] += p
    system = np.eye(len(names)) - expected
    start = index["S"]
    nats = np.linalg.solve(system, entropy)[start]
    tokens = np.linalg.solve(system, terminals)[start]
    return float(nats), float(tokens) + 1


def entropy_per_token() -> float:
    """Exact nats per token, `<eos>` counted: the least loss that a model can have."""
    nats, tokens = exact()
    return nats / tokens


def sample(count: int, seed: int | str) -> Sampled:
    """`count` independent sentences; a pure function of the seed."""
    chance = random.Random(f"grammar:{seed}")
    tables = {
        name: (
            list(itertools.accumulate(p for p, _ in productions)),
            [(math.log(p), symbols) for p, symbols in productions],
        )
        for name, productions in rules().items()
    }
    lines, logs = [], np.zeros(count)
    for n in range(count):
        words, stack = [], ["S"]
        while stack:
            symbol = stack.pop()
            if symbol not in tables:
                words.append(symbol)
                continue
            bounds, productions = tables[symbol]
            chosen = bisect.bisect_right(bounds, chance.random(), hi=len(bounds) - 1)
            log, symbols = productions[chosen]
            logs[n] += log
            stack.extend(reversed(symbols))
        lines.append(" ".join(words) + "\n")
    return Sampled(lines, logs)


def log_probability(sentence: str) -> float:
    """Exact log-probability in nats of a sentence such as `the dog runs .`

    The sum over all derivations (there is at most one); -inf outside the language.
    """
    tokens = tuple(sentence.split())
    total = derivations(tokens).get(len(tokens))
    return total[0] if total else -math.inf


def derivations(tokens: tuple[str, ...]) -> dict[int, tuple[float, int]]:
    """For each length of prefix that is a sentence: (log-probability, derivations)."""
    grammar = rules()

    @functools.cache
    def spans(symbol: str, start: int) -> dict[int, tuple[float, int]]:
        if symbol not in grammar:
            found = start < len(tokens) and tokens[start] == symbol
            return {start + 1: (0.0, 1)} if found else {}
        ends: dict[int, tuple[float, int]] = {}
        for p, symbols in grammar[symbol]:
            partial = {start: (math.log(p), 1)}
            for part in symbols:
                following: dict[int, tuple[float, int]] = {}
                for middle, (log, ways) in partial.items():
                    for end, (log2, ways2) in spans(part, middle).items():
                        _add(following, end, log + log2, ways * ways2)
                partial = following
            for end, (log, ways) in partial.items():
                _add(ends, end, log, ways)
        return ends

    return spans("S", 0)


def _add(table: dict[int, tuple[float, int]], end: int, log: float, ways: int) -> None:
    if end in table:
        log, ways = float(np.logaddexp(table[end][0], log)), table[end][1] + ways
    table[end] = (log, ways)


def load(config: DataConfig) -> Text:
    """Three independent samples; validation and test a tenth of training's size.

    facts: exact nats per token and perplexity, and for each split what the grammar
    itself scores on these very sentences (nats per token): the yardstick for a model.
    """
    sizes = {"train": config.grammar_sentences}
    sizes["valid"] = sizes["test"] = max(1, config.grammar_sentences // 10)
    parts = {name: sample(n, f"{config.seed}:{name}") for name, n in sizes.items()}
    facts = {
        "entropy_per_token": entropy_per_token(),
        "optimal_perplexity": math.exp(entropy_per_token()),
        "expected_tokens_per_sentence": exact()[1],
        "grammar_nats_per_token": {name: _score(part) for name, part in parts.items()},
    }
    return Text("grammar", {name: part.lines for name, part in parts.items()}, facts)


def _score(part: Sampled) -> float:
    tokens = sum(len(line.split()) + 1 for line in part.lines)
    return float(-part.log_probabilities.sum() / tokens)
