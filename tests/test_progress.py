"""The progress line: what it shows, with and without a terminal, within its width."""

from types import SimpleNamespace

import pytest
import rich

from experiments.train import display as progress
from experiments.train.display import Display, fitting

ROW = {"tokens": 400, "loss": 4.62, "gradient_norm": 0.0351, "clipped_norm": 0.0351}


def trainer(horizon=None, seconds=4_000.0, probes=True):
    at = SimpleNamespace(step=500, epoch=9, seconds=seconds)
    train = SimpleNamespace(minutes=0, epochs=13)
    found = SimpleNamespace(at=at, steps=10**6, config=SimpleNamespace(train=train))
    if probes:
        found.probe = SimpleNamespace(horizon=horizon)
    return found


def lines(live, trainer, monkeypatch, capsys, columns=80):
    """What is shown after three steps half a minute apart."""
    clock = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: clock[0])
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(rich, "_console", None)  # it knows its width from its birth
    display = Display(live=live)
    for number in range(3):
        clock[0] += 0.04 if live else 30.0
        clock[0] += 0.3
        display.step(trainer, 500 + number, ROW)
    display.close()
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("horizon", [None, 7, 100])
def test_plain_lines_hold_everything(horizon, monkeypatch, capsys):
    shown = lines(False, trainer(horizon), monkeypatch, capsys)
    assert len(shown) == 2
    for part in (
        "step 502",
        "tokens/s",
        "loss 4.62",
        "ppl 101",
        "|g| 0.035",
        "clip 0%",
    ):
        assert part in shown[-1]
    assert ("horizon" in shown[-1]) == (horizon is not None)
    assert "left " in shown[-1]


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_live_line_fits_and_keeps_the_horizon(columns, monkeypatch, capsys):
    shown = lines(True, trainer(100), monkeypatch, capsys, columns)
    last = shown[-1]
    assert len(shown) == 1 and len(last) <= columns
    assert last.startswith("epoch 10/13") and "…" not in last
    assert "horizon 100" in last and "left " in last
    assert ("loss" in last) == (columns == 120)


def test_books_without_probes_are_shown_too(monkeypatch, capsys):
    shown = lines(False, trainer(probes=False), monkeypatch, capsys)
    assert "horizon" not in shown[-1] and "clip 0%" in shown[-1]


def test_clipped_steps_are_counted(monkeypatch, capsys):
    monkeypatch.setitem(ROW, "clipped_norm", 0.01)
    assert "clip 100%" in lines(False, trainer(), monkeypatch, capsys)[-1]


def test_what_is_dispensable_goes_first():
    parts = {"rate": "1k tokens/s", "loss": "loss 1", "clip": "clip 1%", "left": "left"}
    assert fitting(parts, 99) == "1k tokens/s loss 1 clip 1% left"
    assert fitting(parts, 26) == "1k tokens/s clip 1% left"
    assert fitting(parts, 3) == "left"
