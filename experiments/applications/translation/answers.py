"""What a network that translates answers: the test split, and new sentences."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from data_pipeline.corruption import judged
from data_pipeline.errors import DataError
from data_pipeline.pairs import (
    EncodedPairs,
    decode_line,
    encode_lines,
    padded,
    paired,
)
from data_pipeline.types import TokenArray
from data_pipeline.vocabulary import EOS, Vocabulary
from experiments.applications.application import Final, Prepared, Restored
from experiments.applications.bleu import (
    bleu,
    scores_of,
    sentence_bleu,
    signature,
)
from experiments.applications.decoding import SearchConfig
from experiments.applications.lines import read_lines
from experiments.applications.searching import answers_to, make_search
from experiments.applications.translation.baseline import dictionary, word_by_word
from experiments.applications.translation.config import (
    PairsConfig,
    TranslationConfig,
)
from experiments.applications.translation.data import Translations
from experiments.applications.translation.model import model_of
from lm.gradflow.source import along, source_gradients
from lm.models.encoder_decoder import EncoderDecoder
from lm.types import Pairs

SHOWN, DRAWN, REACHED, LONGEST = 12, 3, 64, 26  # sentences; of them drawn; words
BINS = 6  # of lengths
CHUNK = 16


def final(config: TranslationConfig, prepared: Prepared, params: Any) -> Final:
    """BLEU by greedy search on validation and test, by beam search on the test; beside
    it IBM Model 1 word by word, and doing nothing where mistakes are mended."""
    known: Translations = prepared.source
    model, lanes = model_of(config, known), config.train.eval_batch
    sizes = [vocabulary.size for vocabulary in known.vocabularies]
    bound = config.data.max_length
    greedy = make_search(model, sizes[1], bound)
    beam = make_search(model, sizes[1], bound, config.search)
    answers = {
        split: texts_of(
            answers_to(greedy, params, prepared.splits[split], lanes), known
        )
        for split in ("valid", "test")
    }
    scores = {
        split: judge(config.data, known, split, answers[split]) for split in answers
    }
    searched = texts_of(answers_to(beam, params, prepared.splits["test"], lanes), known)
    found = judge(config.data, known, "test", searched)
    scores["test"] |= {f"{name}_beam": score for name, score in found.items()}
    best = dictionary(prepared.splits["train"], (sizes[0], sizes[1]))
    words = word_by_word(best, prepared.splits["test"].sources)
    baselines = {
        "IBM Model 1, word by word": {
            "test": judge(config.data, known, "test", texts_of(words, known))
        }
    }
    if config.data.corpus == "corrupted":
        same = judge(config.data, known, "test", known.texts["test"].sources)
        baselines["doing nothing"] = {"test": same}
    return Final(
        scores=scores,
        baselines=baselines,
        examples=examples(config, prepared, params, model, answers["test"]),
    )


def texts_of(answers: Sequence[np.ndarray], known: Translations) -> list[str]:
    """Ids as text."""
    return [decode_line(ids, known.vocabularies[1]) for ids in answers]


def judge(
    config: PairsConfig, known: Translations, split: str, answers: Sequence[str]
) -> dict[str, float]:
    """BLEU and exact matches against the references as they stand; of corrected
    sentences what `correction` is scored by."""
    text = known.texts[split]
    lower = known.vocabularies[1].lower
    targets = [line.lower() for line in text.targets] if lower else text.targets
    found = scores_of(answers, targets)
    if config.corpus == "corrupted":
        words = [
            [tuple(line.split()) for line in lines]
            for lines in (text.sources, answers, targets)
        ]
        found |= judged(*words)
    return found


def examples(
    config: TranslationConfig,
    prepared: Prepared,
    params: Any,
    model: EncoderDecoder,
    answers: Sequence[str],
) -> dict[str, Any]:
    """{"signature"; "sentences": [source, answer, reference, BLEU]; "lengths": [mean
    source tokens, BLEU, pairs] by length; "reach": (3, 10), see lm.gradflow.source;
    "drawn": sentences with their attention and gradient}."""
    known, test = prepared.source, prepared.splits["test"]
    text, lengths_N = known.texts["test"], np.diff(test.sources.starts)
    shown = [
        [source, answer, target, sentence_bleu(answer, target)]
        for source, answer, target in zip(
            text.sources[:SHOWN], answers, text.targets, strict=False
        )
    ]
    found = {
        "signature": signature(),
        "sentences": shown,
        "lengths": by_lengths(lengths_N, answers, text.targets),
    }
    fitting = np.flatnonzero((lengths_N > 5) & (lengths_N <= LONGEST))[:REACHED]
    if not len(fitting):
        return found
    batch = of_members(test, fitting)
    norms_TSB = jax.jit(source_gradients, static_argnums=0)(
        model.problem, params, batch
    )
    weights = jax.jit(model.weights)(params, batch)
    reach = along(norms_TSB, jnp.asarray(batch.mask), jnp.asarray(batch.source_mask))
    drawn = []
    for lane in range(min(DRAWN, len(fitting))):
        steps, places = (
            int(mask[:, lane].sum()) for mask in (batch.mask, batch.source_mask)
        )
        one = {
            "source": pieces(known.vocabularies[0], batch.source[:places, lane]),
            "target": pieces(known.vocabularies[1], batch.targets[:steps, lane]),
            "gradient": np.asarray(norms_TSB[:steps, :places, lane]).tolist(),
        }
        if weights is not None:
            one["attention"] = np.asarray(weights[lane, :steps, :places]).tolist()
        drawn.append(one)
    return found | {"reach": np.asarray(reach).tolist(), "drawn": drawn}


def of_members(pairs: EncodedPairs, members: np.ndarray) -> Pairs:
    """A batch of the pairs of these numbers."""
    source, target = (int(np.diff(side.starts)[members].max()) for side in pairs)
    return paired(pairs, members, source, target, len(members))


def pieces(vocabulary: Vocabulary, ids: np.ndarray) -> list[str]:
    """Tokens as they are read by people."""
    tokens = vocabulary.decode(ids)
    return [
        token if token == EOS else decode_line(np.array([number]), vocabulary).strip()
        for token, number in zip(tokens, ids, strict=True)
    ]


def by_lengths(
    lengths_N: np.ndarray, answers: Sequence[str], targets: Sequence[str]
) -> list[list[float]]:
    """[mean source tokens, BLEU, pairs] of about equally many pairs, by length."""
    order = np.argsort(lengths_N, kind="stable")
    return [
        [
            float(lengths_N[own].mean()),
            bleu([answers[int(n)] for n in own], [targets[int(n)] for n in own]),
            len(own),
        ]
        for own in np.array_split(order, BINS)
        if len(own)
    ]


def predict(
    restored: Restored, path: str, beam: int | None = None
) -> Iterator[dict[str, Any]]:
    """The translation of each line of a file, and −ln P of it where it was searched by
    a beam.

    Raises:
      DataError: for an empty line, or one that is longer than any batch.
    """
    config, prepared, _, params, _ = restored
    known: Translations = prepared.source
    search = None
    if beam is not None:
        search = SearchConfig(beam, config.search.normalise)
    find = make_search(
        model_of(config, known),
        known.vocabularies[1].size,
        config.data.max_length,
        search,
    )
    for line in read_lines(path, option="--input"):
        if not line.text.strip():
            raise DataError(f"{line.place} is empty: there is nothing to translate")
        tokens = encode_lines([line.text.strip()], known.vocabularies[0])
        check_length(tokens, line.place, config.data.max_length)
        length = -(-len(tokens.ids) // CHUNK) * CHUNK
        ids_SB, mask_SB = padded(tokens, np.array([0]), length, 1)
        ids_BT, nats_B = find(params, ids_SB, mask_SB)
        answer = decode_line(np.asarray(ids_BT[0]), known.vocabularies[1])
        record = {"text": line.text, "answer": answer}
        yield record | ({} if beam is None else {"nats": float(nats_B[0])})


def check_length(tokens: TokenArray, place: str, longest: int) -> None:
    """Raises DataError for a line of more tokens than any batch has."""
    if len(tokens.ids) > longest:
        raise DataError(
            f"{place} has {len(tokens.ids)} tokens, <eos> included, "
            f"and the longest batch of this run {longest} (data.max_length): shorten it"
        )


def write_some(model: EncoderDecoder, known: Translations, batch: Pairs, bound: int):
    """(params, key) -> translations of the sources of a batch, one a line with what it
    was made from."""
    find = make_search(model, known.vocabularies[1].size, bound)

    def write(params: Any, key: Any) -> list[str]:
        ids_BT = np.asarray(find(params, batch.source, batch.source_mask)[0])
        sources = [decode_line(ids, known.vocabularies[0]) for ids in batch.source.T]
        answers = texts_of(list(ids_BT), known)
        return [f"{s} → {a}" for s, a in zip(sources, answers, strict=True)]

    return write
