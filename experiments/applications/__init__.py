"""What can be trained and used: a folder each, `APPLICATION` in its `application.py`.

One more application is its folder and a line here. Imports `run` and below.
"""

import importlib
from typing import Any

from lm.config import ConfigError, unknown

# An application by the module that has it; a script may put its own one here.
APPLICATIONS: dict[str, Any] = {
    "captions": "experiments.applications.captions.application",
    "char_words": "experiments.applications.char_words.application",
    "correction": "experiments.applications.correction.application",
    "forecast": "experiments.applications.forecast.application",
    "gap": "experiments.applications.gap.application",
    "language_model": "experiments.applications.language_model.application",
    "memory": "experiments.applications.memory.application",
    "sentiment": "experiments.applications.sentiment.application",
    "sequences": "experiments.applications.sequences.application",
    "signals": "experiments.applications.signals.application",
    "speech": "experiments.applications.speech.application",
    "translation": "experiments.applications.translation.application",
}


def load(name: str) -> Any:
    """The `Application` of this name; ConfigError where there is none."""
    if name not in APPLICATIONS:
        raise ConfigError(unknown("application", name, APPLICATIONS))
    found = APPLICATIONS[name]
    return importlib.import_module(found).APPLICATION if type(found) is str else found
