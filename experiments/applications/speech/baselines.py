"""What is no neural network, on the same strings: tones by Goertzel's filters, and
recordings cut at silence, with linear classifiers of the pieces."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from data_pipeline.joined import Spoken
from data_pipeline.keypad import AMPLITUDE, HIGH, LOW, Dialled
from data_pipeline.labelled import Examples
from data_pipeline.sounds import frame_and_hop, normalised
from data_pipeline.transcribed import Transcripts
from experiments.applications.signals.baselines import averages_of_pieces
from experiments.applications.speech.scores import Symbols, errors

Scores = dict[str, dict[str, float]]
FEWEST = 2  # frames in a tone or a piece
TONES = AMPLITUDE**2 * np.geomspace(0.5, 50, 25)
QUIET = (0.01, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5)


def stretches(on_T: np.ndarray) -> list[slice]:
    """Where something is on, FEWEST frames long or longer."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], on_T, [0]]).astype(int)))
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return [slice(a, b) for a, b in pairs if b - a >= FEWEST]


def best_threshold(
    thresholds: Sequence[float] | np.ndarray,
    decode: Callable[[str, float], list[list[int]]],
    labels: Mapping[str, Sequence[Symbols]],
) -> Scores:
    """Errors on both splits, at the threshold with the fewest in validation; the middle
    one of several."""
    found = [errors(labels["valid"], decode("valid", at)) for at in thresholds]
    edits_N = np.array([scores["symbol_errors"] for scores in found])
    (best,) = np.nonzero(edits_N == edits_N.min())
    chosen = int(best[len(best) // 2])
    test = errors(labels["test"], decode("test", float(thresholds[chosen])))
    return {"valid": found[chosen], "test": test}


def goertzel(sounds: dict[str, list[Dialled]], rate: int) -> dict[str, Scores]:
    """Keys whose two frequencies both stand out.

    The power at the eight frequencies is found in frames of 25 ms (Goertzel 1958, with
    Hann's window). Where the largest of the four low ones and the largest of the four
    high ones both exceed a threshold, chosen in validation, there is a tone; its key is
    that of the largest sums over its frames.
    """
    powers = {
        split: [goertzel_power(one.samples, rate) for one in sounds[split]]
        for split in ("valid", "test")
    }

    def decode(split: str, threshold: float) -> list[list[int]]:
        return [keys_of(power_TF, threshold) for power_TF in powers[split]]

    labels = {split: [one.labels for one in sounds[split]] for split in powers}
    return {"Goertzel filters": best_threshold(TONES, decode, labels)}


def goertzel_power(samples: np.ndarray, rate: int) -> np.ndarray:
    """(T, 8) at the low and the high frequencies; white noise has its variance."""
    frame, hop = frame_and_hop(rate)
    frames_TN = np.lib.stride_tricks.sliding_window_view(samples, frame)[::hop]
    window = np.hanning(frame)
    phases = 2 * np.pi * np.outer(np.arange(frame) / rate, LOW + HIGH)
    filters = window[:, None] * np.exp(-1j * phases)
    return np.abs(frames_TN @ filters) ** 2 / np.sum(window**2)


def keys_of(power_TF: np.ndarray, threshold: float) -> list[int]:
    """The keys, see `goertzel`."""
    low_T4, high_T4 = power_TF[:, :4], power_TF[:, 4:]
    on_T = np.minimum(low_T4.max(axis=1), high_T4.max(axis=1)) > threshold
    return [
        int(4 * low_T4[at].sum(axis=0).argmax() + high_T4[at].sum(axis=0).argmax())
        for at in stretches(on_T)
    ]


def cut_at_silence(
    train: Spoken, splits: Mapping[str, Transcripts], classes: int
) -> dict[str, Scores]:
    """Pieces between silences, each given a class by a linear classifier.

    A frame is silent where none of its bands rises by more than a threshold, chosen in
    validation, above the lowest value of the string. The classifiers see the averages
    of the bands in each quarter of a piece, which is normalised as a recording alone
    is, and are fitted to the recordings of training; none where a class has fewer than
    two.
    """
    if np.bincount(train.labels, minlength=classes).min() < 2:
        return {}
    alone = Examples([normalised(power_FD) for power_FD in train.power], train.labels)
    features = averages_of_pieces(alone)
    labels = {split: splits[split].labels for split in ("valid", "test")}
    found = {}
    for told, model in (
        ("logistic regression", LogisticRegression(max_iter=2_000)),
        ("LDA", LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1)),
    ):
        fitted = make_pipeline(StandardScaler(), model).fit(features, train.labels)

        def decode(split: str, threshold: float, fitted=fitted) -> list[list[int]]:
            return classified(fitted, splits[split].inputs, threshold)

        scores = best_threshold(QUIET, decode, labels)
        found[f"cut at silence, {told}"] = scores
    return found


def classified(
    model, inputs: Sequence[np.ndarray], threshold: float
) -> list[list[int]]:
    """The classes of the pieces of each string."""
    pieces = [pieces_of(frames_TD, threshold) for frames_TD in inputs]
    flat = [piece for own in pieces for piece in own]
    if not flat:
        return [[] for _ in pieces]
    said = model.predict(averages_of_pieces(Examples(flat, np.zeros(len(flat), int))))
    ends = np.cumsum([len(own) for own in pieces])[:-1]
    return [own.tolist() for own in np.split(said, ends)]


def pieces_of(frames_TD: np.ndarray, threshold: float) -> list[np.ndarray]:
    """What is between silences, each at mean 0 and variance 1."""
    loud_T = frames_TD.max(axis=1) > frames_TD.min() + threshold
    found = [frames_TD[at] for at in stretches(loud_T)]
    return [(x_TD - x_TD.mean()) / max(x_TD.std(), 1e-3) for x_TD in found]
