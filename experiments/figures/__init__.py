"""Figures: pure functions from arrays to matplotlib Figures.

Each has units, lines told apart without colour, and a sentence that says how to read
it, below the picture or as the caption of a page (`style.reading_of`). `style.save`
writes one to a file.
"""

from experiments.figures.flow import heat_map, lag_profiles
from experiments.figures.inside import gate_histograms, singular_values
from experiments.figures.style import save, written
from experiments.figures.training import (
    Curve,
    clip_events,
    learning_curves,
    over_training,
    parameter_norms,
)

__all__ = [
    "Curve",
    "clip_events",
    "gate_histograms",
    "heat_map",
    "lag_profiles",
    "learning_curves",
    "over_training",
    "parameter_norms",
    "save",
    "singular_values",
    "written",
]
