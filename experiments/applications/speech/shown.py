"""What a report shows of speech: confusions, and strings with what was heard when."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from data_pipeline.transcribed import Transcripts
from experiments.applications.speech.data import in_words
from experiments.applications.speech.scores import Symbols, confusions, edits
from experiments.figures.answers import confusion_matrix
from experiments.figures.page import table_block
from experiments.figures.speech import Utterance, utterances

RIGHT, WRONG = 3, 6


def examples_shown(
    found: Transcripts,
    logs: Sequence[np.ndarray],
    said: Sequence[Symbols],
    beams: Sequence[Symbols],
    classes: int,
) -> dict[str, Any]:
    """JSON values: the confusions; a few strings that were right, from short to long,
    then some that were wrong, those with the most edits first."""
    edits_N = np.array([edits(*p) for p in zip(found.labels, said, strict=True)])
    lengths_N = np.array([len(vectors) for vectors in found.inputs])
    right, wrong = np.flatnonzero(edits_N == 0), np.flatnonzero(edits_N)
    right = right[np.argsort(lengths_N[right], kind="stable")]
    spread = np.linspace(0, len(right) - 1, min(RIGHT, len(right))).astype(int)
    wrong = wrong[np.argsort(-edits_N[wrong], kind="stable")]
    return {
        "confusions": confusions(found.labels, said, classes),
        "strings": [
            {
                "name": found.names[n],
                "is": np.asarray(found.labels[n]).tolist(),
                "heard": list(said[n]),
                "beam": list(beams[n]),
                "frames": np.round(found.inputs[n].astype(float), 1).tolist(),
                "chances": np.round(np.exp(logs[n].astype(float)), 3).tolist(),
            }
            for n in [*right[spread], *wrong[:WRONG]]
        ],
    }


def section(examples: dict[str, Any]) -> Iterator[Any]:
    """Pictures of strings that were right and wrong, a table of them, confusions."""
    classes = tuple(examples["classes"])
    for stem, told, same in (("right", "Right", True), ("wrong", "Wrong", False)):
        chosen = [s for s in examples["strings"] if (s["is"] == s["heard"]) == same]
        shown = [
            Utterance(
                np.array(s["frames"]),
                np.array(s["chances"]),
                f"said {in_words(classes, s['is'])}, "
                f"heard {in_words(classes, s['heard']) or 'nothing'}",
            )
            for s in chosen
        ]
        if shown:
            yield (
                f"{stem}_strings",
                utterances(
                    shown,
                    classes,
                    f"{told} answers",
                    examples["seconds"],
                    examples["stacked"],
                ),
            )
    yield table_block(
        ["sound", "said", "best path", "beam search"],
        [
            [s["name"], *(in_words(classes, s[key]) for key in ("is", "heard", "beam"))]
            for s in examples["strings"]
        ],
        "The strings of the pictures.",
        numbers=False,
    )
    yield "confusions", confusion_matrix(examples["confusions"], [*classes, "nothing"])
