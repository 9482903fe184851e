"""Recordings with a label each: WAV files called LABEL_SPEAKER_INDEX.wav.

The splits are those of the Free Spoken Digit Dataset, whose own rule makes indices 0 to
4 the test split; 5 to 9 are for validation here, the rest is for training. So each
speaker is in all of them; with one left out, the test split is all that he or she said,
and the other two are dealt out of the others as before, indices 0 to 4 going to train.
"""

import hashlib
import io
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from data_pipeline.errors import DataError
from data_pipeline.labelled import Examples
from data_pipeline.paths import user_path
from data_pipeline.sounds import log_mel, read_wav

NAME = re.compile(r"(?P<label>[^_/]+)_(?P<speaker>[^_/]+)_(?P<index>\d{1,9})\.wav")


class Recording(NamedTuple):
    """A file: what is said, by whom, its index among these, and its (N,) samples."""

    label: str
    speaker: str
    index: int
    samples: np.ndarray


class Recordings(NamedTuple):
    """A data set: its recordings in the order of their names, its classes sorted, a
    digest of it all, and where it lies."""

    recordings: list[Recording]
    classes: tuple[str, ...]
    fingerprint: str
    path: str


def read_recordings(path: str, rate: int) -> Recordings:
    """The recordings in a folder (and those below it) or in a tar file.

    Raises:
      DataError: where there are none, one has another name than
        LABEL_SPEAKER_INDEX.wav or cannot be read, or there is one class only.
    """
    given = user_path(path, "data.corpus")
    if not given.exists():
        raise DataError(f"data.corpus: there is no file or folder {path!r}")
    found, digest = [], hashlib.sha256(f"{rate}".encode())
    for name, file in _files(given):
        parts = NAME.fullmatch(name.rpartition("/")[2])
        if parts is None:
            raise DataError(f"{given}: {name} is not called LABEL_SPEAKER_INDEX.wav")
        samples = read_wav(file, f"{given}: {name}", rate)
        label, speaker, index = parts.group("label", "speaker", "index")
        found.append(Recording(label, speaker, int(index), samples))
    found.sort(key=lambda one: one[:3])
    for one in found:
        digest.update(f"{one.label}_{one.speaker}_{one.index}".encode())
        digest.update(one.samples.tobytes())
    classes = tuple(sorted({one.label for one in found}))
    if len(classes) < 2:
        what = f"recordings of {classes[0]!r} alone" if classes else "no .wav file"
        raise DataError(f"data.corpus: {path} holds {what}: two classes are needed")
    return Recordings(found, classes, digest.hexdigest(), path)


def _files(path: Path) -> Iterator[tuple[str, Path | IO[bytes]]]:
    """(name, file) of the WAV files of a folder or of a tar file."""
    if path.is_dir():
        for file in sorted(path.rglob("*.wav")):
            yield file.relative_to(path).as_posix(), file
        return
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isfile() else None
                if file is not None and member.name.endswith(".wav"):
                    yield member.name, io.BytesIO(file.read())
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(
            f"data.corpus: {path} is no folder and no sound tar file ({error})"
        ) from None


def examples_of(
    found: Recordings, rate: int, bands: int, speaker: str = ""
) -> dict[str, tuple[Examples, list[str]]]:
    """{split: (its log-mel frames and classes, the names of its recordings)}.

    speaker  see `dealt`, and what it raises.
    """
    members = dealt(found, speaker)
    number = {name: n for n, name in enumerate(found.classes)}
    return {
        split: (
            Examples(
                [log_mel(one.samples, rate, bands) for one in own],
                np.array([number[one.label] for one in own], np.int32),
            ),
            [f"{one.label}_{one.speaker}_{one.index}" for one in own],
        )
        for split, own in members.items()
    }


def dealt(found: Recordings, speaker: str = "") -> dict[str, list[Recording]]:
    """{split: its recordings}, see this module's docstring.

    speaker  who is left out of training, and tested; "": the data set's own rule.

    Raises:
      DataError: for a speaker whom there is not, an empty split, or a class without
        recordings to learn from.
    """
    speakers = sorted({one.speaker for one in found.recordings})
    if speaker and speaker not in speakers:
        raise DataError(
            f"data.speaker is {speaker!r}: nobody of this name speaks here; there are "
            f"{', '.join(speakers)}"
        )
    members: dict[str, list[Recording]] = {"train": [], "valid": [], "test": []}
    for one in found.recordings:
        members[split_of(one, speaker)].append(one)
    for split, own in members.items():
        if not own:
            raise DataError(f"{found.path}: the split {split} has no recording: {RULE}")
    lacking = set(found.classes) - {one.label for one in members["train"]}
    if lacking:
        raise DataError(
            f"{found.path}: the class {min(lacking)!r} has no recording to learn from: "
            f"{RULE}"
        )
    return members


RULE = (
    "indices 0 to 4 are for the test (or the speaker who is left out), 5 to 9 for "
    "validation, the others for training"
)


def split_of(one: Recording, speaker: str) -> str:
    """Which split a recording is in, see this module's docstring."""
    if one.speaker == speaker:
        return "test"
    if 5 <= one.index <= 9:
        return "valid"
    return "test" if one.index < 5 and not speaker else "train"
