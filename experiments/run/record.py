"""A run's config.json: what was asked for, of which text, by which program.

Two runs are the same where their application, their config (but for what only paces
a run) and their text are. The text is known by its fingerprint, wherever it lies.
"""

import shlex
import sys
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from data_pipeline.errors import DataError
from data_pipeline.vocabulary import Vocabulary
from experiments.config import differences, from_dict, to_dict
from experiments.run import provenance
from experiments.run.files import RunError, note
from lm.config import ConfigError

FORMAT, FILE, VOCABULARY = "run-1", "config.json", "vocabulary.json"
SHOWN = 16  # digits of a fingerprint that a message shows
OLDEST = "language_model"  # the application of records that name none
T = TypeVar("T")


def upgraded(config: dict) -> dict:
    """A config of `FORMAT` without the field that memory tasks had for a while, where
    it was left at its default."""
    data = config.get("data")
    if not isinstance(data, dict) or data.get("examined_length") != 0:
        return config
    kept = {name: value for name, value in data.items() if name != "examined_length"}
    return {**config, "data": kept}


# How a config of each format is written today: where fields move, a record of before
# gets an entry here, so that its run goes on.
UPGRADES: dict[str, Callable[[dict], dict]] = {FORMAT: upgraded}


class Text(NamedTuple):
    """What identifies a text: its name, and digests of the text and of the vocabulary
    that it gave."""

    name: str
    fingerprint: str
    vocabulary: str


def text_of(dataset: Any) -> Text:
    """That of a `data_pipeline` dataset."""
    corpus = dataset.corpus
    return Text(corpus.name, corpus.fingerprint, dataset.vocabulary.digest)


def new_record(config: Any, text: Text | None) -> dict[str, Any]:
    """The record of a run that begins."""
    record = {
        "format": FORMAT,
        "id": uuid.uuid4().hex,
        "application": config.application,
        "config": to_dict(config),
        **_session(),
        "resumed": [],
    }
    return record | _corpus(text)


def resumed_record(old: dict[str, Any], config: Any, text: Text | None) -> dict:
    """The record of a run that goes on."""
    session = _session()
    if isinstance(old.get("versions"), dict):
        _tell_versions(old["versions"], session["versions"])
    before = old["resumed"] if isinstance(old.get("resumed"), list) else []
    now = {"config": to_dict(config), "resumed": [*before, session]}
    return {**old, **now, **_corpus(text)}


def _corpus(text: Text | None) -> dict[str, Any]:
    return {} if text is None else {"corpus": text._asdict()}


def config_of(record: Any, directory: Path, kind: type[T]) -> T:
    """The config in a config.json; RunError where it is not one of ours, or another
    application's."""
    try:
        upgrade = UPGRADES.get(str(record["format"]))
        if upgrade is None:
            raise ConfigError(f"its format is {record['format']!r}, not {FORMAT!r}")
        asked, found = kind.application, record.get("application", OLDEST)  # type: ignore
        if found != asked:
            raise ConfigError(f"its application is {found!r}, not {asked!r}")
        return from_dict(upgrade(record["config"]), kind)
    except (KeyError, TypeError, AttributeError, OverflowError):
        raise RunError(f"{directory}/{FILE} is not a run's config") from None
    except ValueError as error:
        raise RunError(f"{directory}/{FILE}: {error}") from None


def recorded_text(record: dict[str, Any], directory: Path) -> Text | None:
    """The text that a run was trained on; None in a record of before these were
    kept."""
    if "corpus" not in record:
        return None
    try:
        text = Text(**record["corpus"])
    except TypeError:
        raise RunError(f"{directory}/{FILE}: its corpus is not one of ours") from None
    if not all(isinstance(value, str) for value in text):
        raise RunError(f"{directory}/{FILE}: its corpus is not one of ours")
    return text


def check_same(
    directory: Path, record: Any, config: Any, text: Text | None, bounds: bool = False
) -> dict[str, Any]:
    """Whether the run in a directory is the one that is asked for; writes nothing.

    bounds: whether it has to go as far, too; else it may be resumed with others.

    Raises:
      RunError: where application, config or text differ, or it cannot go on.
    """
    old = config_of(record, directory, type(config))
    if "imported" in record:
        raise RunError(
            f"{directory} holds weights out of {record['imported']}, and no state of "
            "training: it answers and scores, but to train give another --run-dir"
        )
    differ = differences(old, config, text is not None, bounds)
    if differ:
        told = ", ".join(f"{k} was {a!r}, is {b!r}" for k, (a, b) in differ.items())
        raise RunError(
            f"{directory} holds a run of another config: {told}; give the same "
            "config to resume it, or another --run-dir"
        )
    if text is not None:
        _check_text(directory, recorded_text(record, directory), text)
    return record


def _check_text(directory: Path, old: Text | None, text: Text) -> None:
    what, was, now = "text", "", ""
    if old is None:
        what, was = "vocabulary", _stored_vocabulary(directory)
        now = text.vocabulary if was else ""
    elif old.fingerprint != text.fingerprint:
        was, now = old.fingerprint, text.fingerprint
    elif old.vocabulary != text.vocabulary:
        what, was, now = "vocabulary", old.vocabulary, text.vocabulary
    if was == now:
        return
    raise RunError(
        f"{directory} holds a run on another text than {text.name} is now: the "
        f"fingerprint of its {what} was {was[:SHOWN]}, is {now[:SHOWN]}; nothing was "
        "changed: put back the text of then to go on, or give another --run-dir to "
        "train on this one (the run can be scored and written with all the same)"
    )


def tell_old_text(directory: Path, record: dict[str, Any], text: Text | None) -> None:
    """Says so where a run is of before fingerprints were kept."""
    if text is not None and "corpus" not in record and _stored_vocabulary(directory):
        note(
            f"{directory} was made before fingerprints of texts were kept: it was "
            "compared by its vocabulary, which is the same"
        )


def _stored_vocabulary(directory: Path) -> str:
    """The digest of vocabulary.json; "" before anything was trained."""
    path = directory / VOCABULARY
    try:
        return Vocabulary.load(path).digest if path.exists() else ""
    except DataError as error:
        raise RunError(
            f"{error}; without it this run, made before fingerprints of texts were "
            "kept, cannot be told from one on another text: put back a copy"
        ) from None


def vocabulary_of(directory: Path, record: dict[str, Any]) -> Vocabulary:
    """The vocabulary of a run, checked against its record.

    Raises:
      RunError: where there is none yet, or it is not the one of the weights.
    """
    path = directory / VOCABULARY
    if not path.exists():
        raise RunError(f"{directory} has no {VOCABULARY}: nothing is trained yet")
    text = recorded_text(record, directory)
    hint = f"put back a copy, or resume the run on its text, which writes {VOCABULARY}"
    try:
        found = Vocabulary.load(path)
    except DataError as error:
        raise RunError(f"{error}; {hint}") from None
    if text is not None and found.digest != text.vocabulary:
        raise RunError(
            f"{path} is not the vocabulary that the run was trained with: its "
            f"fingerprint is {found.digest[:SHOWN]}, that in {FILE} "
            f"{text.vocabulary[:SHOWN]}; {hint}"
        )
    return found


def origin_of(record: dict[str, Any], directory: Path) -> dict[str, str]:
    """What every checkpoint of the run is of, see `Checkpoints`."""
    found = {"id": str(record["id"])} if "id" in record else {}
    text = recorded_text(record, directory)
    if text is not None:
        found |= {"text": text.fingerprint, "vocabulary": text.vocabulary}
    return found


def _session() -> dict[str, Any]:
    return {
        "command": shlex.join(command()),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "git": provenance.git_state(),
        "versions": provenance.versions(),
        "hardware": provenance.hardware(),
    }


def _tell_versions(old: dict, new: dict) -> None:
    changed = [f"{k} {old[k]} -> {new[k]}" for k in old if new.get(k, old[k]) != old[k]]
    if changed:
        note(
            f"resuming with other versions ({', '.join(changed)}): the numbers may "
            "differ in their last digits from an unbroken run"
        )


def command() -> list[str]:
    """This process's command line, as one would type it."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name != "__main__":
        name = spec.name.removesuffix(".__main__")
        return ["python", "-m", name, *sys.argv[1:]]
    return ["python", *sys.argv]
