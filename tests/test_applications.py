"""What every application has to do: train, go on bit for bit, score, probe, answer."""

import shutil
import wave

import jax
import numpy as np
import pytest
from matplotlib.image import imsave

from data_pipeline.config import DataConfig
from data_pipeline.errors import DataError
from experiments.applications import APPLICATIONS, load
from experiments.applications.captions.config import (
    CaptionerConfig,
    CaptionsConfig,
    ScenesConfig,
)
from experiments.applications.char_words.config import CharWordsConfig
from experiments.applications.correction.config import CorrectionConfig
from experiments.applications.decoding import DecoderConfig
from experiments.applications.forecast.config import (
    ForecastConfig,
    ForecastModel,
    SeriesConfig,
)
from experiments.applications.gap.config import GapConfig
from experiments.applications.memory.config import MemoryConfig, TaskConfig
from experiments.applications.restored import restore_best
from experiments.applications.sentiment.config import (
    OpinionsConfig,
    ReaderConfig,
    SentimentConfig,
)
from experiments.applications.sequences.config import RuleConfig, SequencesConfig
from experiments.applications.signals.config import (
    SignalsConfig,
    SignalsData,
    SignalsModel,
)
from experiments.applications.speech.config import (
    SpeechConfig,
    SpeechData,
    SpeechModel,
)
from experiments.applications.translation.config import (
    PairsConfig,
    TranslationConfig,
)
from experiments.config import Config, GradflowConfig, TrainConfig
from experiments.report.build import report
from experiments.run.files import read_json
from experiments.run.probes import read_probe
from experiments.train.executor import One
from experiments.train.plan import plan
from experiments.train.shared import Shared
from lm.config import ModelConfig
from lm.gradflow.gates import seen
from lm.train import numbers_of
from tests.runs import trained
from tests.tiny_run import TEXT
from tests.zoo import close

pytestmark = pytest.mark.usefixtures("compile_cache", "few_lengths")
TRAIN = TrainConfig(
    epochs=0, steps=4, eval_every=2, eval_batch=4, checkpoint_every=1, keep=9, samples=1
)
PACE = {"train": TRAIN, "gradflow": GradflowConfig(every=2, lanes=2, lags=4)}
MODEL = ModelConfig(cell="gru", hidden=4, embedding=0)
LINES = {
    "captions": "PNG\n",
    "char_words": "the zebra sat .\n",
    "correction": "the cat sat .\n",
    "forecast": "1.5 2 -1 0\n",
    "gap": "the ___ sat .\n",
    "language_model": "the cat sat .\n",
    "memory": "0 2 5 1\n",
    "sentiment": "the film is not good\n",
    "sequences": "1,3,5\n",
    "signals": "1,0,0,0,0,0 0,1,0,0,0,0 0,0,1,0,0,0.5\n",
    "speech": "WAV\n",
    "translation": "the dog sings .\n",
}
# Lines that are no input, where there are any.
BAD = {
    "forecast": "1.5 x\n",
    "gap": "the cat sat .\n",
    "memory": "0 9\n",
    "sequences": "1,x\n",
    "signals": "1,0\n",
    "translation": "\n",
}


def configs(folder):
    """A tiny run of each application."""
    for name, text in TEXT.items():
        (folder / f"{name}.txt").write_text(text)
    text = DataConfig(corpus=str(folder), batch=2, window=4)
    sentences = DataConfig(corpus=str(folder), batch=2, reading="sentences")
    task = TaskConfig("temporal_order_2", 10, 2, 3, 6, 7)
    tones = SignalsData(signals=10, looked=10, examined=10, batch=4, buckets=1)
    keys = SpeechData(strings=10, looked=6, examined=6, bands=8, batch=4, buckets=1)
    reader = SpeechModel("gru", 1, 4, both_ways=False)
    words = ModelConfig(cell="gru", hidden=4, embedding=3)
    series = SeriesConfig(
        length=200, batch=4, window=8, burn_in=2, updates=3, horizon=3, paths=10
    )
    return {
        "captions": CaptionsConfig(
            data=ScenesConfig(1, 2, 2, updates=3, looked=6, examined=7, batch=4),
            model=CaptionerConfig(cell="gru", hidden=4, embedding=3, channels=2),
            **PACE,
        ),
        "char_words": CharWordsConfig(data=text, model=words, **PACE),
        "correction": CorrectionConfig(data=text, model=MODEL, **PACE),
        "forecast": ForecastConfig(
            data=series, model=ForecastModel("gru", 1, 4), **PACE
        ),
        "gap": GapConfig(data=sentences, model=words, **PACE),
        "language_model": Config(data=text, model=MODEL, **PACE),
        "memory": MemoryConfig(data=task, model=MODEL, **PACE),
        "signals": SignalsConfig(data=tones, model=SignalsModel("gru", 1, 4), **PACE),
        "speech": SpeechConfig(data=keys, model=reader, **PACE),
        "sentiment": SentimentConfig(
            data=OpinionsConfig(sentences=60, batch=4),
            model=ReaderConfig(cell="gru", hidden=4, embedding=3, both_ways=True),
            **PACE,
        ),
        "translation": TranslationConfig(
            data=PairsConfig(sentences=40, batch=8, buckets=1, max_length=60),
            model=DecoderConfig(cell="gru", hidden=4, embedding=3),
            **PACE,
        ),
        "sequences": SequencesConfig(
            data=RuleConfig(batch=4, updates=3, looked=6, examined=7),
            model=MODEL,
            **PACE,
        ),
    }


def wav(path):
    """A tenth of a second of silence."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8_000, 0, "NONE", ""))
        file.writeframes(bytes(1_600))
    return path


def png(path):
    """A black picture of the size that the tiny run above reads."""
    imsave(path, np.zeros((10, 20)), cmap="gray")
    return path


def test_every_application_is_here():
    assert set(LINES) == set(APPLICATIONS)


@pytest.fixture(scope="module", params=LINES)
def whole(request, tmp_path_factory):
    """(name, config, a run that was never stopped)."""
    folder = tmp_path_factory.mktemp("text")
    config = configs(folder)[request.param]
    run = tmp_path_factory.mktemp("run") / "whole"
    return request.param, config, trained(config, run)


def test_it_goes_on_bit_for_bit(whole, tmp_path):
    """From a step between evaluations and one of them; of language models from every
    step (tests/test_run.py too)."""
    name, config, run = whole
    wanted = restore_best(run)
    for step in (1, 2, 3) if name == "language_model" else (1, 2):
        cut = tmp_path / f"{step}"
        shutil.copytree(run, cut)
        (cut / "summary.json").unlink()
        for folder in (cut / "checkpoints").iterdir():
            if folder.name.isdigit() and int(folder.name) > step:
                shutil.rmtree(folder)
        trained(config, cut)
        same, summary = restore_best(cut), read_json(cut / "summary.json")
        assert same.step == wanted.step
        for a, b in zip(
            jax.tree.leaves(same.params), jax.tree.leaves(wanted.params), strict=True
        ):
            np.testing.assert_array_equal(a, b)
        assert summary["scores"] == read_json(run / "summary.json")["scores"]


def test_two_devices_give_the_numbers_of_one(whole):
    """As they share a batch where that is faster (`train.devices auto`)."""
    _, config, _ = whole
    planned, found = plan(config), []
    for executor in (One(planned), Shared(planned, jax.devices()[:2])):
        executor.restart([0], [config])
        (block,) = executor.fetch((((0, 0, 0),),))
        told = executor.step(block, executor.place([[numbers_of(config)]]))
        found.append(executor.infos(told, 1)[0][0])
    one, two = found
    close(two, one, rtol=1e-4, atol=1e-6)


def test_it_is_scored_probed_and_reported(whole, tmp_path, monkeypatch):
    """The figures are on the page; those that go into files besides are of
    tests/test_report.py."""
    if whole[0] != "language_model":
        monkeypatch.setattr("experiments.figures.save", lambda *_: None)
    name, _, run = whole
    scores = read_json(run / "summary.json")["scores"]
    assert set(scores) == {"valid", "test"}
    monitor = load(name).monitor.removeprefix("-")
    assert all(np.isfinite(found[monitor]) for found in scores.values())
    probe = read_probe(run)
    assert probe["step"].tolist() == [0, 2, 4]
    lags = [column for name, column in probe.items() if name.endswith("lag_LK")]
    assert lags and all((lag_LK[:, :, 0] > 0).all() for lag_LK in lags)
    page = report([run], tmp_path / "page.html", spectra=name == "language_model")
    assert page.read_text().count("<svg") > 3


def test_it_answers_lines_and_has_an_example_for_instruments(whole, tmp_path):
    name, _, run = whole
    restored, lines = restore_best(run), tmp_path / "lines.txt"
    text = LINES[name].replace("WAV", str(wav(tmp_path / "silence.wav")))
    text = text.replace("PNG", str(png(tmp_path / "black.png")))
    lines.write_text(text + BAD.get(name, ""))
    found = iter(load(name).predict(restored, str(lines)))
    record = next(found)
    assert record["text"] == text.strip() and len(record) > 1
    if name in BAD:
        with pytest.raises(DataError, match=f"{lines} line 2"):
            next(found)
    problem, params = restored.problem, restored.params
    batch = load(name).example(restored)
    parts = seen(problem, params, problem.carry(params, 1), batch)
    assert {one.part.name for one in parts} == {part.name for part in problem.parts}
