"""What the report draws of which runs: (file name, Figure) pairs, a list a section."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from experiments import figures
from experiments.figures import Curve
from experiments.report.reading import RunFiles
from experiments.report.spectra import spectra
from experiments.run.probes import Columns

Picture = tuple[str, Any]


def learning(runs: list[RunFiles]) -> Iterator[Picture]:
    """Loss against step, all runs in one figure."""
    train, valid, floors = {}, {}, set()
    for run in runs:
        steps, found = run.metrics.steps, run.metrics.valid
        train[run.name] = Curve(steps["step"], steps["loss"])
        if len(found.get("step", ())):
            valid[run.name] = Curve(found["step"], found["loss"])
        floors.add(optimal_loss((run.summary or {}).get("optimum")))
    floor = floors.pop() if len(floors) == 1 else None
    nats = all(run.nats for run in runs)
    yield "learning_curves", figures.learning_curves(train, valid, floor, nats)
    for name in score_names(runs):
        curves = {
            run.name: Curve(run.metrics.valid["step"], run.metrics.valid[name])
            for run in runs
            if name in run.metrics.valid
        }
        reading = "A score of the validation split, at each evaluation."
        title = f"{name.replace('_', ' ')}, validation"
        yield name, figures.over_training(curves, title, name, reading)


def optimal_loss(optimum: Any) -> float | None:
    """The least loss that there can be, of a summary's "optimum": scores by name, or a
    perplexity alone."""
    if isinstance(optimum, dict):
        return optimum.get("loss")
    return None if optimum is None else float(np.log(optimum))


def score_names(runs: list[RunFiles]) -> list[str]:
    """What evaluations scored beside the loss, in any of the runs."""
    own = {"step", "train", "loss", "nats_per_token", "perplexity"}
    return sorted({name for run in runs for name in run.metrics.valid} - own)


def reach(runs: list[RunFiles]) -> Iterator[Picture]:
    """Lag profiles overlaid, horizon and half-life over training; of every group of
    parts its top layer."""
    shown = [
        (run.name if not group else f"{run.name}, {group}", columns)
        for run in runs
        for group, columns in run.probes.items()
        if len(columns["step"])
    ]
    if not shown:
        return
    curves, intervals = {}, {}
    for name, columns in shown:
        for probe in (-1,) if len(shown) > 1 else (0, -1):
            label = f"{name}, step {columns['step'][probe]:,}"
            lag_K = columns["lag_LK"][probe, -1]
            first = max(float(lag_K[0]), np.finfo(np.float32).tiny)
            curves[label] = lag_K / first
            if "lag_low_LK" in columns:
                sides = (columns[f"lag_{side}_LK"][probe, -1] for side in LOW_HIGH)
                intervals[label] = tuple(sides)
    yield "lag_profiles", figures.lag_profiles(curves, "top layer", intervals)
    lags = max(columns["lag_LK"].shape[-1] for _, columns in shown) - 1
    highest = max(columns["horizon_L"][:, -1].max() for _, columns in shown)
    yield (
        "horizon",
        figures.over_training(
            {name: _of_top(columns, "horizon") for name, columns in shown},
            "Effective horizon, top layer",
            "steps",
            "The largest lag at which over 1 % of the gradient is left; shaded: 95 % "
            "intervals. It cannot exceed the longest lag that was looked at.",
            limit=(lags, "longest lag looked at") if 2 * highest > lags else None,
        ),
    )
    yield (
        "half_life",
        figures.over_training(
            {name: _of_top(columns, "half_life") for name, columns in shown},
            "Half-life of the gradient, top layer",
            "steps",
            "The smallest lag at which less than half of the gradient is left: what a "
            "step's loss mostly teaches the model about lies nearer than this.",
        ),
    )


LOW_HIGH = ("low", "high")


def _of_top(columns: Columns, what: str) -> Curve:
    """A column of the top layer, with its interval where there is one."""
    sides = [columns.get(f"{what}_{side}_L") for side in LOW_HIGH]
    low, high = (None if side is None else side[:, -1] for side in sides)
    return Curve(columns["step"], columns[f"{what}_L"][:, -1], low, high)


def through_time(run: RunFiles) -> Iterator[Picture]:
    """The heat map of each layer, and the norms over training by layer."""
    for group, columns in run.probes.items():
        yield from _through_time(run, group, columns)


def _through_time(run: RunFiles, group: str, columns: Columns) -> Iterator[Picture]:
    lag_PLK, steps_P = columns["lag_LK"], columns["step"]
    if not len(steps_P):
        return
    layers = lag_PLK.shape[1]
    for layer in range(layers):
        alone = run.model if layers == 1 and not group else ""
        where = alone or _place(group, f"layer {layer}")
        title = f"{run.name}: gradient of one loss, {where}"
        norms_PK = lag_PLK[:, layer]
        name = _stem(group, f"heat_map_{layer}")
        yield name, figures.heat_map(norms_PK, steps_P, title)
    if layers > 1:
        curves = {
            f"layer {number}": Curve(steps_P, columns["norms_LT"][:, number].mean(1))
            for number in range(layers)
        }
        yield (
            _stem(group, "layers"),
            figures.over_training(
                curves,
                f"{run.name}: gradient down the layers{group and f', {group}'}",
                "‖∂L/∂h_t‖, mean over the window",
                "One line a layer, the bottom one first: lines far apart mean that "
                "gradients shrink or grow on their way down the layers.",
                log=True,
            ),
        )


def _place(group: str, what: str) -> str:
    """A thing inside a group of parts, for a title."""
    return f"{group}, {what}" if group else what


def _stem(group: str, what: str) -> str:
    """The same for a file's name."""
    return f"{group}_{what}" if group else what


def inside(run: RunFiles) -> Iterator[Picture]:
    """Gate histograms of each layer; mean gates, state norm and spectral radius."""
    for group, columns in run.probes.items():
        if len(columns["step"]):
            yield from _gates(run, group, columns)
            yield from _states(run, group, columns)


def _gates(run: RunFiles, group: str, columns: Columns) -> Iterator[Picture]:
    for layer in range(columns["lag_LK"].shape[1]):
        start = f"gates_{layer}_"
        names = [n.removeprefix(start) for n in columns if n.startswith(start)]
        if names:
            title = f"{run.name}: gates of {_place(group, f'layer {layer}')}"
            before, after = (
                {name: columns[start + name][at] for name in names} for at in (0, -1)
            )
            drawn = figures.gate_histograms(before, after, title)
            yield _stem(group, f"gates_{layer}"), drawn
    start = "gate_mean_"
    means = {
        f"layer {name.removeprefix(start).replace('_', ', ', 1)}": Curve(
            columns["step"], mean
        )
        for name, mean in columns.items()
        if name.startswith(start)
    }
    if means:
        reading = (
            "Mean activation of each gate over units and steps. A forget (or update) "
            "gate of mean f holds its unit for about −1/ln f steps."
        )
        title = f"{run.name}: mean gates{group and f', {group}'}"
        drawn = figures.over_training(means, title, "mean activation", reading)
        yield _stem(group, "gate_means"), drawn


def _states(run: RunFiles, group: str, columns: Columns) -> Iterator[Picture]:
    for what, (title, unit, reading, limit) in STATES.items():
        if f"{what}_L" in columns:
            values_PL = columns[f"{what}_L"]
            curves = {
                f"layer {n}": Curve(columns["step"], values_PL[:, n])
                for n in range(values_PL.shape[1])
            }
            title = f"{run.name}: {_place(group, title)}"
            drawn = figures.over_training(curves, title, unit, reading, limit=limit)
            yield _stem(group, what), drawn


STATES = {
    "state_norm": (
        "size of the state",
        "‖h_t‖, mean over windows",
        "A state that grows without bound saturates what reads it; one near 0 carries "
        "nothing.",
        None,
    ),
    "spectral_radius": (
        "spectral radius of W_h",
        "largest |eigenvalue|",
        "Of the recurrent matrix, the largest over its gates. For a tanh network below "
        "1 all gradients vanish; gates can hold them up whatever it is.",
        (1.0, "1"),
    ),
}


def clipping(run: RunFiles) -> Iterator[Picture]:
    """Clip events on the loss curve."""
    steps, optim = run.metrics.steps, run.config.optim
    if not len(steps["step"]):
        return
    clipped = steps["clipped_norm"] < 0.999 * steps["gradient_norm"]
    drawn = figures.clip_events(
        Curve(steps["step"], steps["loss"]),
        Curve(steps["step"], steps["gradient_norm"]),
        clipped,
        optim.clip_at if optim.clip == "norm" else None,
        run.name,
    )
    yield "clip_events", drawn


NORMS = {
    "gradient_norms": (
        "‖gradient‖",
        "Before clipping, one line a parameter group. Groups orders of magnitude apart "
        "learn at different speeds under plain SGD.",
    ),
    "weight_norms": (
        "‖weights‖",
        "One line a parameter group: weights that keep growing ask for decay.",
    ),
    "update_ratios": (
        "‖update‖ / ‖weights‖",
        "How much of itself each group changes in a step. Near 1e-3 is usual; far "
        "above is unstable, far below hardly learns.",
    ),
}


def parameters(run: RunFiles) -> Iterator[Picture]:
    """Gradient, weight and update norms per parameter group."""
    if not len(run.metrics.at):
        return
    for what, (unit, reading) in NORMS.items():
        norms_RP = run.metrics.norms[what]
        drawn = figures.parameter_norms(
            run.metrics.at, norms_RP, run.metrics.groups, unit, reading
        )
        drawn.axes[0].set_title(figures.written(f"{run.name}: {unit}"))
        yield what, drawn


def singular(run: RunFiles) -> Iterator[Picture]:
    """Spectra of one step's Jacobian and of the recurrent matrices.

    Raises:
      RunError: where there is no checkpoint to compute them from.
    """
    found = spectra(run.directory)
    title = f"{run.name}: Jacobians"
    yield "jacobians", figures.singular_values(found.jacobians, title)
    if found.matrices:
        of = "the recurrent matrix, by gate (top layer)"
        title = f"{run.name}: recurrent matrix"
        yield "matrices", figures.singular_values(found.matrices, title, of)
