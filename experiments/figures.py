"""Figures: each has units, lines told apart without colour, and says how to read it."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

STYLES = ("-", "--", "-.", ":")
MARKERS = "osD^vPX*"


def draw_lag_profiles(path: Path, curves: Mapping[str, np.ndarray], title: str) -> None:
    """G(k)/G(0) against the lag k, one line a curve; written to `path`."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    for number, (name, values) in enumerate(curves.items()):
        axes.semilogy(
            np.arange(len(values)),
            np.maximum(values, 1e-12),
            linestyle=STYLES[number % len(STYLES)],
            marker=MARKERS[number % len(MARKERS)],
            markevery=max(1, len(values) // 10),
            label=name,
        )
    axes.axhline(0.01, color="0.5", linewidth=1)
    axes.annotate("1 %", (0, 0.01), textcoords="offset points", xytext=(2, 3))
    axes.set_xlabel("lag k, in tokens before the loss")
    axes.set_ylabel("gradient that is left, G(k) / G(0)")
    axes.set_title(f"How far back the gradient reaches: {title}")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.supxlabel(
        "G(k) is the mean norm of ∂(loss of a token)/∂(state k steps before it). "
        "A line that falls fast\nforgets: what happened that long ago can hardly be "
        "learnt from.",
        fontsize=8,
    )
    figure.savefig(path, dpi=150)
