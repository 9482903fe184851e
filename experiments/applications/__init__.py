"""What can be trained and used: a folder each, `APPLICATION` in its `application.py`.

One more application is its folder and a line here. Imports `run` and below.
"""

import importlib
from typing import Any

APPLICATIONS = {
    "language_model": "experiments.applications.language_model.application",
}


def load(name: str) -> Any:
    """The `Application` of this name, a key of APPLICATIONS."""
    return importlib.import_module(APPLICATIONS[name]).APPLICATION
