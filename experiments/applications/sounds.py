"""Sounds as `experiments.predict` is given them: a WAV file, or a file that names one a
line."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from data_pipeline.sounds import read_wav
from experiments.applications.lines import read_lines


def read_sounds(path: str, rate: int) -> Iterator[tuple[str, np.ndarray]]:
    """(what stands in the input, samples).

    Raises:
      DataError: for what is no such file, or no WAV file of this rate in mono, named.
    """
    if path.lower().endswith(".wav"):
        yield path, read_wav(Path(path), path, rate)
        return
    for line in read_lines(path, option="--input"):
        name = line.text.strip()
        yield line.text, read_wav(Path(name), name, rate)
