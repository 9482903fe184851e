"""Image descriptions: scenes and their words by hand, and a network that reads most."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from matplotlib.image import imsave

from data_pipeline.errors import DataError
from data_pipeline.grid import Grid
from data_pipeline.pairs import decode_line
from data_pipeline.scenes import (
    NUMBERS,
    Scenes,
    describe,
    digits,
    longest,
    make_scene,
    vocabulary,
)
from experiments.applications.captions.answers import predict, read_picture
from experiments.applications.captions.baseline import read
from experiments.applications.captions.config import ScenesConfig
from experiments.applications.restored import restore_best
from experiments.configs.captions import CONFIG
from experiments.console.command_line import Options
from experiments.predict import main as predict_command
from experiments.run.files import read_json
from experiments.train.session import train
from lm.models.pictures import picture_encoder, places_of

pytestmark = pytest.mark.usefixtures("compile_cache")
GRID = Grid(rows=2, columns=3, most=4, jitter=1, noise=0.1)


def test_scenes_are_told_in_reading_order():
    assert describe([(0, 1, 7)]) == "a seven"
    assert describe([(0, 0, 7), (0, 2, 8)]) == "a seven left of an eight"
    assert describe([(0, 1, 0), (1, 1, 2)]) == "a zero above a two"
    placed = [(0, 2, 1), (1, 0, 3), (2, 1, 3)]
    said = "a one above and right of a three above and left of a three"
    assert describe(placed) == said
    longest_of_all = describe([(0, 1, 1), (1, 0, 1), (2, 1, 1), (3, 0, 1)])
    assert len(longest_of_all.split()) + 1 == longest(GRID)


def test_a_scene_shows_what_it_says_and_no_split_shares_a_digit():
    for number in range(20):
        scene = make_scene(GRID, "train", 3, number)
        again = make_scene(GRID, "train", 3, number)
        np.testing.assert_array_equal(scene.picture, again.picture)
        assert scene.picture.shape == GRID.shape == (20, 30)
        assert scene.text == describe(scene.digits) and 1 <= len(scene.digits) <= 4
        assert len({place[:2] for place in scene.digits}) == len(scene.digits)
    assert not np.array_equal(scene.picture, make_scene(GRID, "train", 4, 19).picture)
    counts = {split: len(digits(split)[1]) for split in ("train", "valid", "test")}
    assert counts == {"train": 1_257, "valid": 180, "test": 360}
    clean = Grid(2, 3, 2)
    scenes = [make_scene(clean, "train", 0, n) for n in range(60)]
    right = [read(scene.picture, clean) == scene.text for scene in scenes]
    assert np.mean(right) > 0.95


def test_batches_are_drawn_anew_and_evaluations_are_not():
    words = vocabulary()
    reading = Scenes(GRID, "train", 4, steps=3)
    one, other = (reading.batch_at(0, epoch, 1) for epoch in (0, 1))
    assert not np.array_equal(one.source, other.source)
    whole = Scenes(GRID, "test", 4, count=6)
    assert whole.steps == 2
    last = whole.batch_at(0, 0, 1)
    np.testing.assert_array_equal(last.source, whole.batch_at(5, 7, 1).source)
    assert last.mask[0].tolist() == [1, 1, 0, 0]
    texts = [decode_line(ids, words) for ids in last.targets[:, :2].T]
    assert texts == [make_scene(GRID, "test", 0, 0, n).text for n in (4, 5)]
    assert set(NUMBERS) <= set(words.tokens)


def test_places_keep_where_they_are():
    encoder, width, summary = picture_encoder(4, (10, 14))
    params = encoder.init(jax.random.key(0))
    source = np.zeros((10, 2, 14), np.float32)
    memory = encoder.apply(params, source, None)
    assert places_of((10, 14)) == (3, 4) and (width, summary) == (10, 8)
    assert memory.values_BSE.shape == (2, 12, 10) and memory.mask_BS.all()
    where = np.asarray(memory.values_BSE)[0, :, -2:]
    assert where[0].tolist() == [-1, -1] and where[-1].tolist() == [1, 1]
    assert where[4].tolist() == [0, -1]
    assert memory.summary_BN.shape == (2, 8)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    config = replace(
        CONFIG,
        data=ScenesConfig(1, 2, 2, jitter=1, updates=150, looked=50, examined=200),
        train=replace(CONFIG.train, epochs=4, samples=0),
        gradflow=replace(CONFIG.gradflow, every=0),
    )
    return train(config, Options(tmp_path_factory.mktemp("run") / "small"), [])


def test_a_small_form_comes_near_the_ceiling(trained):
    summary = read_json(trained / "summary.json")
    ceiling = summary["baselines"]["SVM in each cell"]["test"]["exact"]
    exact = summary["scores"]["test"]["exact"]
    # 200 pictures: two runs that differ in rounding alone can be .07 apart.
    assert ceiling > 0.85 and exact > 0.65 * ceiling


def test_a_picture_is_described_or_refused(trained, tmp_path, capsys):
    grid = restore_best(trained).config.data.grid
    scene, file = make_scene(grid, "train", 0, 1, 0), tmp_path / "scene.png"
    imsave(file, scene.picture, cmap="gray", vmin=0, vmax=1)
    np.testing.assert_allclose(
        read_picture(str(file), grid.shape), scene.picture, atol=0.01
    )
    answers = [
        record["answer"]
        for beam in (None, 1, 3)
        for record in predict(restore_best(trained), str(file), beam)
    ]
    assert answers[0] == answers[1] and answers[0].startswith("a")
    (tmp_path / "broken.png").write_bytes(file.read_bytes()[:60])
    (tmp_path / "text.png").write_text("no picture")
    imsave(tmp_path / "large.png", np.zeros((9, 9)))
    for name, words in (
        ("broken.png", "is no PNG, or a damaged one"),
        ("text.png", "is no PNG, or a damaged one"),
        ("large.png", "has 9 by 9 pixels"),
        ("none.png", "there is no file"),
    ):
        with pytest.raises(SystemExit) as left:
            predict_command(["--run", str(trained), "--input", str(tmp_path / name)])
        assert left.value.code == 2 and words in capsys.readouterr().err


def test_a_grid_too_small_for_its_digits_is_refused():
    with pytest.raises(DataError, match=r"data.most is 3, but a grid of 1 by 2"):
        ScenesConfig(rows=1, columns=2, most=3)
