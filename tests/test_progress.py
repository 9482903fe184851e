"""The progress line: what it shows, with and without a terminal, within its width."""

from types import SimpleNamespace
from typing import Any

import pytest

from experiments.console.live import Live, bar
from experiments.train import display as progress
from experiments.train.display import Display, evaluated, fitting

ROW = {"tokens": 400, "loss": 4.62, "gradient_norm": 0.0351, "clipped_norm": 0.0351}


def run_at(horizon=None, seconds=4_000.0, nats=True) -> Any:
    at = SimpleNamespace(step=500, epoch=9, seconds=seconds)
    train = SimpleNamespace(minutes=0, epochs=13)
    return SimpleNamespace(
        at=at,
        steps=10**6,
        config=SimpleNamespace(train=train),
        horizon=horizon,
        plan=SimpleNamespace(application=SimpleNamespace(nats=nats)),
    )


def lines(live, run, monkeypatch, capsys, columns=80):
    """What is shown after three steps half a minute apart."""
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    monkeypatch.setenv("COLUMNS", str(columns))
    display = Display(Live(live))
    for number in range(3):
        clock[0] += 0.04 if live else 30.0
        clock[0] += 0.3
        display.stepped(run, 500 + number, ROW)
    display.close()
    shown = capsys.readouterr().out
    if not live:
        return shown.splitlines()
    assert shown.endswith("\r\033[K")  # nothing of it is left
    return [line for line in shown.split("\r\033[K") if line]


@pytest.mark.parametrize("horizon", [None, 7, 100])
def test_plain_lines_hold_everything(horizon, monkeypatch, capsys):
    shown = lines(False, run_at(horizon), monkeypatch, capsys)
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
    shown = lines(True, run_at(100), monkeypatch, capsys, columns)
    last = shown[-1]
    assert len(shown) == 2 and len(last) < columns
    assert last.startswith("epoch 10/13 ──────") and "…" not in last
    assert "horizon 100" in last and "left " in last
    assert ("loss" in last) == (columns == 120)


def test_perplexity_is_shown_of_nats_alone(monkeypatch, capsys):
    shown = lines(False, run_at(nats=False), monkeypatch, capsys)
    assert "ppl" not in shown[-1] and "loss 4.62" in shown[-1]


def test_an_evaluation_in_words():
    row = {"valid_loss": 0.25, "valid_accuracy": 0.5, "train_loss": 0.125}
    assert (
        evaluated(row) == "valid loss 0.2500  valid accuracy 0.5000  train loss 0.1250"
    )
    row = {"valid_nats_per_token": 0.0, "valid_perplexity": 1.0}
    told = evaluated({**row, "train_nats_per_token": 0.0})
    assert told == "train perplexity 1.0  valid 0.0000 nats, perplexity 1.00"


def test_clipped_steps_are_counted(monkeypatch, capsys):
    monkeypatch.setitem(ROW, "clipped_norm", 0.01)
    assert "clip 100%" in lines(False, run_at(), monkeypatch, capsys)[-1]


def test_what_is_dispensable_goes_first():
    parts = {"rate": "1k tokens/s", "loss": "loss 1", "clip": "clip 1%", "left": "left"}
    assert fitting(parts, 99) == "1k tokens/s loss 1 clip 1% left"
    assert fitting(parts, 26) == "1k tokens/s clip 1% left"
    assert fitting(parts, 3) == "left"


def test_the_bar_grows_by_halves():
    drawn = [bar(share, 3) for share in (-1, 0, 0.2, 0.5, 0.8, 1, 7)]
    assert drawn == ["───", "───", "╸──", "━╸─", "━━╸", "━━━", "━━━"]
