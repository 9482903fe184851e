"""Every figure, on tiny and odd input, without a warning (pyproject makes them errors);
what all have in common; and curves that are thinned out."""

import numpy as np
import pytest

from experiments import figures
from experiments.figures import Curve, save
from experiments.figures.style import (
    MARKERS,
    line_style,
    logarithmic,
    reading_of,
    written,
)
from experiments.figures.training import BINS, binned

NONE = np.zeros(0)
ONE = np.ones(1)
NAN = np.full(4, np.nan)
ODD = np.array([np.nan, np.inf, 0.0, -1.0, 1e-30, 1e30])
MANY = np.exp(-np.linspace(0, 40, 5_000))
VALUES = {"none": NONE, "one": ONE, "nan": NAN, "odd": ODD, "many": MANY}
NAMES = ["plain", "$x_1$ _y", "_hidden", "語<b>&", "a" * 99]


def curve(y: np.ndarray) -> Curve:
    return Curve(np.arange(len(y)), y)


def interval(y: np.ndarray) -> Curve:
    return Curve(np.arange(len(y)), y, y - 1, y + 1)


DRAWN = {
    "lag_profiles": lambda y, name: figures.lag_profiles(
        {name: y}, name, {name: (y, y)}
    ),
    "heat_map": lambda y, name: figures.heat_map(
        np.stack([y[:60]] * 2), np.arange(2), name
    ),
    "learning_curves": lambda y, name: figures.learning_curves(
        {name: curve(y)}, {name: curve(y[:3])}, 0.5
    ),
    "only_valid": lambda y, name: figures.learning_curves({}, {name: curve(y)}),
    "clip_events": lambda y, name: figures.clip_events(
        curve(y), curve(y), y > 0.5, 1.0, name
    ),
    "over_training": lambda y, name: figures.over_training(
        {f"{name}{n}": interval(y) for n in range(12)}, name, "u", "r", limit=(1.0, "1")
    ),
    "over_training_log": lambda y, name: figures.over_training(
        {name: curve(y)}, name, "u", "r", log=True
    ),
    "parameter_norms": lambda y, name: figures.parameter_norms(
        np.arange(len(y)), np.stack([y, y], 1), [name, "b"], "u", "r"
    ),
    "gate_histograms": lambda y, name: figures.gate_histograms(
        {name: y[:20]} if len(y) else {}, {name: y[:20], "slope": y[:20]}, name
    ),
    "no_gates": lambda y, name: figures.gate_histograms({}, {}, name),
    "singular_values": lambda y, name: figures.singular_values(
        {name: y, "two": np.stack([y, y])}, name
    ),
}


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("kind", DRAWN)
def test_odd_input_is_drawn_all_the_same(kind, values, tmp_path):
    y = VALUES[values]
    if kind == "gate_histograms" and not len(y):
        y = np.zeros(1)
    figure = DRAWN[kind](y, "name")
    save(figure, tmp_path / "f.png", dpi=40)
    assert len(reading_of(figure)) > 0
    assert (tmp_path / "f.png").stat().st_size > 500


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", DRAWN)
def test_odd_names_are_drawn_as_they_are(kind, name, tmp_path):
    save(DRAWN[kind](np.ones(3), name), tmp_path / "f.png", dpi=40)


@pytest.mark.parametrize("kind", sorted(set(DRAWN) - {"no_gates"}))
def test_axes_have_units_and_lines_differ_without_colour(kind):
    figure = DRAWN[kind](np.linspace(0.1, 1, 20), "name")
    axes = [a for a in figure.axes if a.get_subplotspec() is not None]
    assert any(a.get_xlabel() for a in axes) and any(a.get_ylabel() for a in axes)
    labelled = [li for li in axes[0].lines if not li.get_label().startswith("_")]
    looks = [(line.get_linestyle(), line.get_marker()) for line in labelled]
    assert len(set(looks)) == len(looks)


def test_styles_differ_for_many_lines():
    looks = [line_style(n) for n in range(len(MARKERS))]
    assert len({(s["linestyle"], s["marker"]) for s in looks}) == len(MARKERS)


def test_names_are_written_as_they_are():
    assert written("a_b") == "a_b"
    assert written("$a$") == r"\$a\$"
    assert not written("_a").startswith("_")
    assert len(written("x" * 500)) <= 45 and "…" in written("x" * 500)
    assert "語" not in written("語")


def test_binned_keeps_means_and_extremes():
    y = np.sin(np.arange(10_000)) + np.arange(10_000) / 1e3
    y[5_000] = np.nan
    y[7_000] = 99.0
    found = binned(curve(y))
    assert len(found.x) == BINS and found.high.max() == 99.0
    assert found.low.min() == np.nanmin(y)
    np.testing.assert_allclose(found.mean.mean(), np.nanmean(y), rtol=1e-2)
    few = binned(curve(np.arange(7.0)))
    assert few.mean.tolist() == few.low.tolist() == list(range(7))


def test_a_log_axis_of_less_than_two_decades_has_several_numbers():
    from matplotlib.figure import Figure

    for highest, several in ((3e-3, True), (1.0, False)):
        axes = Figure().subplots()
        axes.plot([2e-4, highest])
        logarithmic(axes)
        minor = [t.get_text() for t in axes.get_yticklabels(minor=True)]
        assert any(minor) is several


def test_the_horizon_line_and_the_heat_map_show_the_numbers():
    """What is drawn is what was given."""
    values = 0.5 ** np.arange(10)
    line = figures.lag_profiles({"a": values}, "t").axes[0].lines[0]
    np.testing.assert_array_equal(line.get_ydata(), values)
    norms_PK = np.array([[1.0, 0.1, 0.01], [1.0, 0.5, 0.0]])
    mesh = figures.heat_map(norms_PK, [0, 10], "t").axes[0].collections[0]
    shown = np.ma.asarray(mesh.get_array())
    np.testing.assert_allclose(shown.data[:, 0], [0, -1, -2], atol=1e-12)
    assert np.ma.getmaskarray(shown)[2, 1]


def test_files_are_the_same_every_time_and_fetch_nothing(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        figure = figures.lag_profiles({"x": np.ones(3), "y": np.ones(3) / 2}, "t")
        save(figure, tmp_path / folder / "f.png", tmp_path / folder / "f.svg")
    for name in ("f.png", "f.svg"):
        first = (tmp_path / "a" / name).read_bytes()
        assert first == (tmp_path / "b" / name).read_bytes()


def test_steps_of_a_short_run_are_whole_numbers():
    three = {"a": Curve(np.array([1, 2, 3]), np.array([3.0, 2.5, 2.0]))}
    for drawn in (
        figures.learning_curves(three, {}),
        figures.over_training(three, "t", "u", "r"),
        figures.heat_map(np.full((3, 5), np.arange(1, 6)), np.arange(3), "t"),
    ):
        ticks = drawn.axes[0].get_xticks()
        assert len(ticks) > 1 and all(float(tick).is_integer() for tick in ticks)
