"""Studies of where gradients go: `python -m experiments.gradients NAME`.

A study is one file of this folder, with its `STUDY`, and one line in `STUDIES`.
"""

import importlib

from experiments.gradients.study import Study

STUDIES: dict[str, str] = {
    "cells": "Which cells' gradients reach back, and is that what predicts well?",
    "initialisation": "At which recurrent gain do gradients vanish, hold, explode?",
    "truncation": "What does cutting backpropagation after τ steps cost?",
    "clipping": "What does clipping do to loss spikes at a high learning rate?",
    "depth": "How much gradient comes down a stack, with and without residuals?",
    "long_memory": "Up to which length does each cell solve tasks that need memory?",
    "pascanu": "How far do clipping and the regularizer Ω carry SGD on temporal order?",
    "parity": "Which recurrences learn parity that holds beyond the training's length?",
    "copying": "Which recurrences copy ten symbols over a hundred steps and more?",
    "precision": "How far back is a gradient right whose products are in bfloat16?",
    "zoo": "At one budget, what does each cell predict, cost, and remember?",
}
"""What each asks."""


def load(name: str) -> Study:
    """The study of that name; its file is imported now, and JAX with it."""
    return importlib.import_module(f"{__name__}.{name}").STUDY
