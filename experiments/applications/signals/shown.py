"""What a run on signals got right and wrong: examples, and the report's pictures."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from data_pipeline.labelled import Examples
from data_pipeline.sounds import HOP
from experiments.figures.answers import confusion_matrix
from experiments.figures.page import table_block
from experiments.figures.signals import Shown, pictures

RIGHT, WRONG = 3, 9


def examples_shown(
    found_NC: np.ndarray, examples: Examples, names: list[str]
) -> list[dict[str, Any]]:
    """A few that were right, from surest to least sure; then those that were wrong,
    the surest first."""
    answer_N, sure_N = found_NC.argmax(axis=1), found_NC.max(axis=1)
    right = np.flatnonzero(answer_N == examples.labels)
    wrong = np.flatnonzero(answer_N != examples.labels)
    right = right[np.argsort(-sure_N[right], kind="stable")]
    wrong = wrong[np.argsort(-sure_N[wrong], kind="stable")]
    spread = np.linspace(0, len(right) - 1, min(RIGHT, len(right))).astype(int)
    return [
        {
            "name": names[n],
            "is": int(examples.labels[n]),
            "answer": int(answer_N[n]),
            "probability": float(sure_N[n]),
            "values": np.round(examples.inputs[n].astype(float), 2).tolist(),
        }
        for n in [*right[spread], *wrong[:WRONG]]
    ]


def section(examples: dict[str, Any]) -> Iterator[Any]:
    """The confusions, and pictures of signals that were right and wrong."""
    classes, signals = examples["classes"], examples["signals"]
    yield "confusion", confusion_matrix(examples["confusion"], classes)
    step, unit = (HOP, "seconds") if examples["sound"] else (1.0, "step")
    for stem, told, same in (("right", "Right", True), ("wrong", "Wrong", False)):
        chosen = [s for s in signals if (s["is"] == s["answer"]) == same]
        shown = [
            Shown(
                np.array(s["values"]),
                f"{classes[s['is']]}"
                + ("" if same else f" taken for {classes[s['answer']]}")
                + f", {s['probability']:.0%}",
            )
            for s in chosen
        ]
        if shown:
            yield f"{stem}_signals", pictures(shown, f"{told} answers", step, unit)
    yield table_block(
        ["signal", "is", "taken for", "probability"],
        [
            [
                s["name"],
                classes[s["is"]],
                classes[s["answer"]],
                f"{s['probability']:.3f}",
            ]
            for s in signals
        ],
        "The signals of the pictures.",
    )
