"""Figures: pure functions from arrays to matplotlib Figures.

Each has units, lines told apart without colour, and a sentence that says how to read
it, below the picture or as the caption of a page (`style.reading_of`). `style.save`
writes one to a file.
"""

from experiments.figures.flow import heat_map, lag_profiles
from experiments.figures.style import save

__all__ = ["heat_map", "lag_profiles", "save"]
