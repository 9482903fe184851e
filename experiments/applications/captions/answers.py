"""What a network that describes pictures answers: for test scenes, and for new ones."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from matplotlib.image import imread

from data_pipeline.errors import DataError
from data_pipeline.pairs import decode_line
from data_pipeline.scenes import Scene, longest, make_scene, told, vocabulary
from experiments.applications.application import Final, Prepared, Restored
from experiments.applications.bleu import scores_of, signature
from experiments.applications.captions.baseline import read_all
from experiments.applications.captions.config import CaptionsConfig, ScenesConfig
from experiments.applications.captions.model import model_of
from experiments.applications.decoding import SearchConfig
from experiments.applications.lines import read_lines
from experiments.applications.searching import Search, make_search
from lm.models.pictures import places_of

SHOWN, LOOKED = 6, 3  # scenes of each kind; scenes whose attention is drawn
GREY = np.array([0.299, 0.587, 0.114])  # of red, green and blue


def scenes_of(config: ScenesConfig, split: str) -> list[Scene]:
    """All scenes of an evaluation."""
    count = config.looked if split == "valid" else config.examined
    return [make_scene(config.grid, split, 0, 0, n) for n in range(count)]


def texts_of(
    find: Search, params: Any, scenes: list[Scene], config: CaptionsConfig
) -> list[str]:
    """The description of each scene."""
    grid, words, lanes = config.data.grid, vocabulary(), config.train.eval_batch
    found = []
    for first in range(0, len(scenes), lanes):
        some = scenes[first : first + lanes]
        batch = told(some, grid, words, lanes)
        ids_BT = np.asarray(find(params, batch.source, batch.source_mask)[0])
        found += [decode_line(ids, words) for ids in ids_BT[: len(some)]]
    return found


def search_of(config: CaptionsConfig, search: SearchConfig | None = None) -> Search:
    """The search of a config's descriptions."""
    bound = longest(config.data.grid)
    return make_search(model_of(config), vocabulary().size, bound, search)


def final(config: CaptionsConfig, prepared: Prepared, params: Any) -> Final:
    """Exact matches and BLEU by greedy and by beam search; beside it a support vector
    machine that is told where digits may stand."""
    greedy, beam = search_of(config), search_of(config, config.search)
    scores, scenes, answers = {}, {}, {}
    for split in ("valid", "test"):
        scenes[split] = scenes_of(config.data, split)
        answers[split] = texts_of(greedy, params, scenes[split], config)
        scores[split] = judge(answers[split], scenes[split])
    test = scenes["test"]
    searched = judge(texts_of(beam, params, test, config), test)
    scores["test"] |= {f"{name}_beam": score for name, score in searched.items()}
    svm = judge(read_all(test, config.data.grid), test)
    return Final(
        scores=scores,
        baselines={"SVM in each cell": {"test": svm}},
        examples=examples(config, params, test, answers["test"]),
    )


def judge(answers: list[str], scenes: list[Scene]) -> dict[str, float]:
    """{"exact", "bleu"}."""
    found = scores_of(answers, [scene.text for scene in scenes])
    return {name: found[name] for name in ("exact", "bleu")}


def examples(
    config: CaptionsConfig, params: Any, scenes: list[Scene], answers: list[str]
) -> dict[str, Any]:
    """{"signature"; "scenes": [picture, answer, text], rightly and wrongly described;
    "looks": [picture, words, (T, rows, columns) weights]}."""
    pairs = list(zip(scenes, answers, strict=True))
    kinds = [[p for p in pairs if (p[0].text == p[1]) == right] for right in (1, 0)]
    shown = [
        [scene.picture.round(2).tolist(), answer, scene.text]
        for kind in kinds
        for scene, answer in kind[:SHOWN]
    ]
    found = {"signature": signature(), "scenes": shown}
    if config.model.attention == "none":
        return found
    some = sorted(kinds[0] or kinds[1], key=lambda p: -len(p[0].digits))[:LOOKED]
    grid, words = config.data.grid, vocabulary()
    batch = told([scene for scene, _ in some], grid, words, len(some))
    weights_BTP = np.asarray(jax.jit(model_of(config).weights)(params, batch))
    rows, columns = places_of(grid.shape)
    looks = []
    for lane, (scene, _) in enumerate(some):
        tokens = scene.text.split()
        maps = weights_BTP[lane, : len(tokens)].reshape(-1, rows, columns)
        looks.append([scene.picture.round(2).tolist(), tokens, maps.tolist()])
    return found | {"looks": looks}


def predict(
    restored: Restored, path: str, beam: int | None = None
) -> Iterator[dict[str, Any]]:
    """The description of a PNG in grey or colours, white on black, or of each one that
    a file of lines names.

    Raises:
      DataError: where one is no picture, or one of another size.
    """
    config, _, _, params, _ = restored
    search = None if beam is None else SearchConfig(beam, config.search.normalise)
    find, words = search_of(config, search), vocabulary()
    alone = path.lower().endswith(".png")
    named = [path] if alone else [x.text for x in read_lines(path, option="--input")]
    for name in named:
        picture = read_picture(name, config.data.grid.shape)
        source = picture[:, None].astype(np.float32)
        mask = np.ones(source.shape[:2], np.float32)
        ids_BT, nats_B = find(params, source, mask)
        record = {"text": name, "answer": decode_line(np.asarray(ids_BT[0]), words)}
        yield record | ({} if beam is None else {"nats": float(nats_B[0])})


def read_picture(path: str, shape: tuple[int, int]) -> np.ndarray:
    """(rows, columns) in [0, 1].

    Raises:
      DataError: where it is no picture, or one of another size.
    """
    if not Path(path).is_file():
        raise DataError(f"--input: there is no file {path!r}: give a PNG")
    try:
        found = np.asarray(imread(path, format="png"), np.float32)
    except (OSError, SyntaxError, ValueError):
        raise DataError(f"--input: {path} is no PNG, or a damaged one") from None
    if found.ndim == 3:
        found = found[..., 0] if found.shape[2] < 3 else found[..., :3] @ GREY
    if found.shape != shape:
        raise DataError(
            f"--input: {path} has {found.shape[0]} by {found.shape[1]} pixels (rows by "
            f"columns), and this run reads {shape[0]} by {shape[1]}: cut or scale it"
        )
    return found
