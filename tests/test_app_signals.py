"""Signals into classes: tones with a known optimum, recordings, what is refused."""

import dataclasses
import io
import json
import tarfile
import wave

import numpy as np
import pytest

from data_pipeline.errors import DataError
from data_pipeline.recordings import examples_of, read_recordings
from data_pipeline.sounds import log_mel, mel_filters, read_wav
from data_pipeline.tones import GLIDES, LASTING, ideal, posteriors, templates, tones
from experiments import predict
from experiments.applications.signals.config import (
    SignalsConfig,
    SignalsData,
    SignalsModel,
)
from experiments.config import GradflowConfig, TrainConfig
from experiments.configs.signals import CONFIG
from experiments.console.command_line import Options
from experiments.run.files import read_json
from experiments.train.__main__ import main
from experiments.train.session import train
from lm.config import ConfigError

pytestmark = pytest.mark.usefixtures("compile_cache")
RATE = 8_000
RNG = np.random.default_rng(0)
# The first of the test split of `signals`, as they are on every machine.
FIRST_LABELS = [1, 2, 2, 1, 3, 2, 3, 3, 3, 1, 2, 2]
FIRST_LENGTHS = [16, 19, 16, 16, 23, 18]
FIRST_VECTOR = [1.25390625, 0.2509765625, -0.822265625]
FIRST_VECTOR += [1.6865234375, 0.443359375, 1.3203125]


def test_the_ideal_observer_is_bayes_rule():
    """Against densities of the whole signal, class by class and onset by onset."""
    strength, drawn = 0.7, tones(3, 0.7, 5)
    for signal, found_C in zip(drawn.inputs, posteriors(drawn, strength), strict=True):
        onsets = range(len(signal) - LASTING + 1)
        densities_C = np.zeros(len(GLIDES))
        for number, tone_LD in enumerate(templates(strength)):
            for onset in onsets:
                mean_TD = np.zeros(signal.shape)
                mean_TD[onset : onset + LASTING] = tone_LD
                squares = np.sum((signal.astype(float) - mean_TD) ** 2)
                densities_C[number] += np.exp(-squares / 2) / len(onsets)
        np.testing.assert_allclose(found_C, densities_C / densities_C.sum(), rtol=1e-9)


def test_tones_are_the_same_everywhere_and_their_optimum_is_not_trivial():
    drawn = tones(500, 1.25, 2)
    assert drawn.labels[:12].tolist() == FIRST_LABELS
    assert [len(s) for s in drawn.inputs[:6]] == FIRST_LENGTHS
    assert drawn.inputs[0][0].tolist() == pytest.approx(FIRST_VECTOR, abs=1e-6)
    found = ideal(drawn, 1.25)
    assert 0.94 < found["accuracy"] < 1 and 0 < found["loss"] < 0.2
    chance = ideal(tones(500, 0.0, 2), 0.0)
    assert chance["loss"] == pytest.approx(np.log(4))


def test_a_small_form_ends_near_the_optimum(tmp_path):
    data = SignalsData(signals=4_000, looked=200, examined=500, strength=3.0)
    config = dataclasses.replace(
        CONFIG,
        data=dataclasses.replace(data, batch=50, buckets=1),
        train=TrainConfig(epochs=3, eval_batch=100, samples=0),
        gradflow=GradflowConfig(every=0),
    )
    run = train(config, Options(tmp_path / "run"), [])
    assert run is not None
    summary = read_json(run / "summary.json")
    best, found = summary["optimum"], summary["scores"]["test"]
    assert best["accuracy"] > 0.999
    assert found["accuracy"] > best["accuracy"] - 0.02
    averages = summary["baselines"]["logistic regression, time averages"]
    assert averages["test"]["accuracy"] < 0.4


def wav(path, samples, rate=RATE, channels=1, width=2):
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", ""))
        file.writeframes(samples)
    return path


def sound(frequency, seconds=0.2, level=0.3):
    times = np.arange(int(seconds * RATE)) / RATE
    noise = RNG.normal(size=len(times)) * 1e-3
    tone = level * np.sin(2 * np.pi * frequency * times) + noise
    return np.round(tone * 2**15).astype("<i2").tobytes()


@pytest.fixture
def folder(tmp_path):
    """Two words, low and high, by two speakers, twelve times each."""
    made = tmp_path / "recordings"
    made.mkdir()
    for label, frequency in (("low", 300), ("high", 2_000)):
        for speaker in ("ann", "bob"):
            for index in range(12):
                seconds = 0.1 + 0.01 * index
                path = made / f"{label}_{speaker}_{index}.wav"
                wav(path, sound(frequency + 10 * index, seconds))
    return made


def test_log_mel_frames_by_hand():
    filters = mel_filters(20, 256, RATE)
    assert filters.shape == (20, 129) and filters.max() <= 1
    # Triangles that overlap by half add up to 1 between the first and last peaks.
    inner = filters.sum(axis=0)[8:110]
    np.testing.assert_allclose(inner, 1, atol=1e-12)
    samples = np.frombuffer(sound(1_000), "<i2").astype(np.float32) / 2**15
    frames = log_mel(samples, RATE, 20)
    assert frames.shape == (1 + (1_600 - 200) // 80, 20)
    peak = np.argmax(filters[:, 32])  # bin 32 is 1,000 Hz
    assert (frames.argmax(axis=1) == peak).all()
    assert abs(frames.mean()) < 1e-5 and frames.std() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(log_mel(samples / 4, RATE, 20), frames, atol=1e-4)
    assert log_mel(samples[:50], RATE, 20).shape == (1, 20)
    assert np.isfinite(log_mel(np.zeros(400, np.float32), RATE, 20)).all()


def test_files_that_are_no_such_sound_are_refused_in_a_line(tmp_path):
    good = sound(500)
    refused = {
        "16000 samples per second, not 8000": wav(tmp_path / "a.wav", good, 16_000),
        "has 2 channels: make it mono": wav(tmp_path / "b.wav", good, channels=2),
        "has 8 bits per sample": wav(tmp_path / "c.wav", good, width=1),
        "holds no samples": wav(tmp_path / "d.wav", b""),
        "there is no file": tmp_path / "e.wav",
    }
    whole = wav(tmp_path / "whole.wav", good).read_bytes()
    for name, content, why in (
        ("f.wav", whole[:-200], "header promises 1600 samples, 1500 are there"),
        ("g.wav", whole[:20], "is cut off within its header"),
        ("h.wav", b"ID3 this is something else", "is no WAV file of PCM samples"),
    ):
        (tmp_path / name).write_bytes(content)
        refused[why] = tmp_path / name
    for why, path in refused.items():
        with pytest.raises(DataError, match=why) as error:
            read_wav(path, path.name, RATE)
        assert path.name in str(error.value) and "\n" not in str(error.value)
    np.testing.assert_array_equal(
        read_wav(tmp_path / "whole.wav", "whole.wav", RATE),
        np.frombuffer(good, "<i2").astype(np.float32) / 2**15,
    )


def test_splits_by_index_and_by_speaker(folder, tmp_path):
    found = read_recordings(str(folder), RATE)
    packed = tmp_path / "all.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(folder, "x/recordings")
    assert read_recordings(str(packed), RATE).fingerprint == found.fingerprint
    assert found.classes == ("high", "low")
    dealt = examples_of(found, RATE, 8)
    names = {split: names for split, (_, names) in dealt.items()}
    assert names["test"][:5] == [f"high_ann_{n}" for n in range(5)]
    assert names["valid"][:5] == [f"high_ann_{n}" for n in range(5, 10)]
    assert [len(names[s]) for s in ("train", "valid", "test")] == [8, 20, 20]
    alone = {s: names for s, (_, names) in examples_of(found, RATE, 8, "bob").items()}
    assert {name.split("_")[1] for name in alone["test"]} == {"bob"}
    assert len(alone["test"]) == 24 and len(alone["train"]) == 14
    assert not any("bob" in name for name in alone["train"] + alone["valid"])
    with pytest.raises(DataError, match="'eve'.*there are ann, bob"):
        examples_of(found, RATE, 8, "eve")
    only = [r for r in found.recordings if r.label == "low" or r.index < 10]
    with pytest.raises(DataError, match="the class 'high' has no recording to learn"):
        examples_of(found._replace(recordings=only), RATE, 8)
    few = [r for r in found.recordings if r.index > 4]
    with pytest.raises(DataError, match="the split test has no recording"):
        examples_of(found._replace(recordings=few), RATE, 8)


def test_commands_refuse_in_one_line_and_write_nothing(folder, tmp_path, capsys):
    run = tmp_path / "run"
    given = ["--config", "signals", "--run-dir", str(run), "--data.corpus"]
    (tmp_path / "empty").mkdir()
    wav(folder / "low_ann.wav", sound(300))
    for path, why in (
        (tmp_path / "nowhere", "there is no file or folder"),
        (tmp_path / "empty", "holds no .wav file"),
        (folder, "low_ann.wav is not called LABEL_SPEAKER_INDEX.wav"),
        (folder / "low_ann.wav", "is no folder and no sound tar file"),
    ):
        with pytest.raises(SystemExit) as left:
            main([*given, str(path)])
        said = capsys.readouterr().err
        assert left.value.code == 2 and why in said and said.count("\n") == 1
    assert not run.exists()
    with pytest.raises(ConfigError, match="data.speaker is 'ann'.*nobody speaks"):
        SignalsData(speaker="ann")
    with pytest.raises(ConfigError, match="model.embedding is 5"):
        SignalsModel(embedding=5)


def test_a_wav_file_is_an_input_and_so_are_lines_of_paths(folder, tmp_path, capsys):
    data = SignalsData(corpus=str(folder), bands=8, batch=8, buckets=1)
    brief = TrainConfig(epochs=0, steps=40, eval_every=20, eval_batch=20, samples=0)
    optim = dataclasses.replace(CONFIG.optim, learning_rate=0.02)
    config = SignalsConfig(
        data=data,
        model=SignalsModel("gru", 1, 8, pooling="mean", both_ways=True),
        optim=optim,
        train=brief,
        gradflow=GradflowConfig(every=0),
    )
    run = train(config, Options(tmp_path / "run"), [])
    new = wav(tmp_path / "new.wav", sound(2_100))
    for path in folder.iterdir():
        path.unlink()  # the run answers without its data
    ask = ["--run", str(run), "--input"]
    capsys.readouterr()
    predict.main([*ask, str(new), "--jsonl"])
    record = json.loads(capsys.readouterr().out)
    assert record["answer"] == "high" and record["text"] == str(new)
    assert sum(record["probabilities"].values()) == pytest.approx(1, abs=1e-6)
    lines = tmp_path / "lines.txt"
    lines.write_text(f"{new}\n{new}\n")
    predict.main([*ask, str(lines)])
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 2 and shown[0].startswith("answer high  probability")
    other = wav(tmp_path / "other.wav", sound(2_100), rate=16_000)
    with pytest.raises(SystemExit) as left:
        predict.main([*ask, str(other)])
    assert left.value.code == 2 and "16000 samples" in capsys.readouterr().err


def test_reading_from_memory_is_reading_from_a_file():
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setparams((1, 2, RATE, 0, "NONE", ""))
        written.writeframes(sound(500))
    file.seek(0)
    assert len(read_wav(file, "x.wav", RATE)) == 1_600
