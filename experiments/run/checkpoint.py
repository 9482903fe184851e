"""Checkpoints: Orbax writes the arrays, this module makes them trustworthy.

A checkpoint is a folder named after its step. It holds `arrays/` (Orbax), a flat
{path: array} whatever the tree's types, and `meta.json`: the caller's numbers, which
run and text it is of, which step is the best so far, a SHA-256 digest per array, and
size and CRC of Orbax's files. It is written under another name and renamed when
complete, so that a kill at any time leaves either all of it or nothing under its name.

Orbax alone restores flipped bits silently; here the digests are checked on restoring,
and a damaged checkpoint is passed over for another one, which is told. None is ever
removed because it cannot be read. The files are checked before Orbax reads them, since
on broken ones it may also print from threads of its own.
"""

import hashlib
import json
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.run.arrays import ARRAYS, Damaged, read_arrays, write_arrays
from experiments.run.files import RunError, plain, say, write_text_atomic

META = "meta.json"
UNFINISHED, REPLACED = ".unfinished-", ".replaced-"
LISTINGS = 5  # how often a reader lists the steps anew while a run prunes them

Check = Callable[[dict], Any]


class Checkpoints:
    """The checkpoints in a folder: the last `keep`, and the best besides.

    A tree is any pytree of arrays. A template is a tree of the same structure, or of
    a part of it, whose leaves have a shape and a dtype (arrays, or
    `jax.ShapeDtypeStruct`); a NumPy leaf is restored as NumPy, any other as JAX.

    origin: what all checkpoints here are of (the run, its text, its vocabulary); it
      is kept with each, and one of another origin is refused.
    """

    def __init__(
        self,
        folder: str | Path,
        keep: int = 2,
        warn: Callable[[str], None] = say,
        origin: Mapping[str, str] | None = None,
    ):
        self.folder = Path(folder).absolute()
        self.keep = keep
        self.warn = warn
        self.origin = dict(origin or {})

    def steps(self) -> list[int]:
        """Steps with a complete checkpoint, rising."""
        if not self.folder.is_dir():
            return []
        return sorted(int(p.name) for p in self.folder.iterdir() if _is_step(p.name))

    def save(self, step: int, tree: Any, meta: dict, best: bool = False) -> Path:
        """Writes the tree as the checkpoint of `step`, and drops what is not kept.

        Checkpoints of this or later steps, which only a fall-back to an older one
        can have left, are replaced.

        Args:
          meta: JSON values: position in the data, best loss so far, …
          best: this is the best so far; kept until a better one comes.

        Raises:
          RunError: where it cannot be written, or Orbax did not write all of it.
        """
        arrays = {path: np.asarray(leaf) for path, leaf in _leaves(tree)}
        temporary = self._make_room(step)
        with ThreadPoolExecutor(2) as pool:  # hashing releases Python's lock
            digests = pool.map(_digest, arrays.values())
            write_arrays(
                temporary, {p: array for p, array in arrays.items() if array.size}
            )
            digests = dict(zip(arrays, digests, strict=True))
        before = {s: r for s, r in self._records().items() if s < step}
        record = {
            "step": step,
            "best": best,
            "best_step": step if best else _best_of(before),
            "origin": self.origin,
            "meta": plain(meta, 17),
            "arrays": digests,
        }
        record["files"] = _files(temporary / ARRAYS)
        record["digest"] = _digest_of_record(record)
        write_text_atomic(temporary / META, json.dumps(record, indent=1))
        for later, known in self._records().items():
            if later == step or (later > step and known is not None):
                (self.folder / str(later)).rename(self.folder / f"{REPLACED}{later}")
        path = temporary.rename(self.folder / str(step))
        self._prune()
        return path

    def latest(
        self, template: Any, check: Check | None = None
    ) -> tuple[Any, dict] | None:
        """(tree, meta) of the last sound checkpoint; None where there are none.

        Args:
          check: reads a meta; one that it cannot read is damaged.

        Raises:
          RunError: where there are checkpoints and none is sound.
        """
        return self._first_sound(lambda: self.steps()[::-1], template, check)

    def best(self, template: Any) -> tuple[Any, dict] | None:
        """(tree, meta) of the best checkpoint, or of the last if none is marked; None
        where there are none. If it is damaged, that and which is used is told.

        Raises:
          RunError: where there are checkpoints and none is sound.
        """
        return self._first_sound(self._best_first, template, None)

    def best_step(self) -> int | None:
        """The step of the best checkpoint, sound or not, as the last readable one says;
        None where there is none."""
        return _best_of(self._records())

    def sweep(self) -> None:
        """Removes what kills have left behind."""
        if self.folder.is_dir():
            for path in self.folder.iterdir():
                if path.name.startswith((UNFINISHED, REPLACED)):
                    shutil.rmtree(path, ignore_errors=True)

    def _make_room(self, step: int) -> Path:
        """A new folder to write into; never one in a run's directory that is gone."""
        self.sweep()
        temporary = self.folder / f"{UNFINISHED}{step}"
        try:
            self.folder.mkdir(exist_ok=True)
            temporary.mkdir()
        except FileNotFoundError:
            raise RunError(
                f"{self.folder.parent} is not there any more: moved or removed while "
                "the run went on; move it back to go on from its last checkpoint"
            ) from None
        return temporary

    def _first_sound(
        self, order: Callable[[], list[int]], template: Any, check: Check | None
    ) -> tuple[Any, dict] | None:
        damaged: dict[int, Damaged] = {}
        for listing in range(LISTINGS):
            damaged, found, used = {}, None, -1
            for step in order():
                try:
                    found, used = self._restore(step, template, check), step
                except Damaged as error:
                    damaged[step] = error
                else:
                    break
            there = [step for step in damaged if (self.folder / str(step)).exists()]
            if len(there) < len(damaged) and listing < LISTINGS - 1:
                continue  # the run that goes on has pruned what was listed
            if found is not None:
                for other in there:
                    self._tell(other, damaged[other], used)
                return found
            break
        if not damaged:
            return None
        step, error = max(damaged.items())
        raise RunError(
            f"none of the checkpoints in {self.folder} is sound (steps "
            f"{', '.join(map(str, sorted(damaged)))}; {step}: {error}): nothing was "
            "changed; put back a copy of one, or give another --run-dir to begin anew"
        )

    def _tell(self, step: int, error: Damaged, used: int) -> None:
        best = " and was the best" if self.best_step() == step else ""
        self.warn(
            f"warning: {self.folder / str(step)} is damaged{best} ({error}); step "
            f"{used} is used in its place"
        )

    def _best_first(self) -> list[int]:
        """The steps in which the best is looked for: where the last record is not
        readable, it may have been the best."""
        records = self._records()
        known = [s for s, record in records.items() if record is not None]
        last = max(known, default=-1)
        named = last >= 0 and "best_step" in (records[last] or {})
        doubtful = [s for s in records if s not in known and (s > last or not named)]
        best = _best_of(records)
        order = [*doubtful[::-1], *([] if best is None else [best])]
        return list(dict.fromkeys([*order, *sorted(records, reverse=True)]))

    def _restore(
        self, step: int, template: Any, check: Check | None
    ) -> tuple[Any, dict]:
        """(tree, meta), every array verified; Damaged where something is wrong."""
        record, where = self._record(step), self.folder / str(step)
        try:
            self._check_origin(record.get("origin", {}), where)
            if check is not None:
                check(record["meta"])
            return _verified(record, where, template), record["meta"]
        except RunError:
            raise
        except _UNREADABLE as error:
            raise Damaged(f"{META} is not a record of ours: {error!r}") from None

    def _check_origin(self, origin: Mapping[str, str], where: Path) -> None:
        for what, own in self.origin.items():
            if origin.get(what, own) != own:
                raise RunError(
                    f"{where} belongs to something else: its {what} is "
                    f"{origin[what][:16]}, that of the run {own[:16]}; take it away, "
                    "or put back what was there"
                )

    def _record(self, step: int) -> dict:
        try:
            text = (self.folder / str(step) / META).read_text(encoding="utf-8")
            record = json.loads(text)
            if record["digest"] != _digest_of_record(record):
                raise Damaged(f"the digest of {META} differs")
            return record
        except _UNREADABLE as error:
            raise Damaged(f"{META} cannot be read: {error}") from None

    def _records(self) -> dict[int, dict | None]:
        """What each checkpoint says of itself, steps rising; None: unreadable."""
        found: dict[int, dict | None] = {}
        for step in self.steps():
            try:
                found[step] = self._record(step)
            except Damaged:
                found[step] = None
        return found

    def _prune(self) -> None:
        records = self._records()
        readable = [step for step, record in records.items() if record is not None]
        for step in set(readable[: -self.keep]) - {_best_of(records)}:
            (self.folder / str(step)).rename(self.folder / f"{REPLACED}{step}")
        self.sweep()


_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError)
_UNREADABLE += (RecursionError, OverflowError)


def _is_step(name: str) -> bool:
    return name.isascii() and name.isdigit() and str(int(name)) == name


def _best_of(records: Mapping[int, dict | None]) -> int | None:
    """The best step by the last readable record; by the marks where it names none, as
    records of before did."""
    readable = {step: record for step, record in records.items() if record is not None}
    if readable and "best_step" in (last := readable[max(readable)]):
        return last["best_step"]
    return max(
        (s for s, record in readable.items() if record.get("best")), default=None
    )


def _verified(record: dict, where: Path, template: Any) -> Any:
    """The tree of a checkpoint, each array as its digest says."""
    wanted = dict(_leaves(template))
    for path, leaf in wanted.items():
        _check_fits(path, leaf, record["arrays"].get(path), where)
    if _files(where / ARRAYS) != record["files"]:
        raise Damaged("the files that hold its arrays have changed")
    empty = {p for p in wanted if not np.prod(record["arrays"][p]["shape"])}
    stored = read_arrays(where, sorted(set(wanted) - empty))
    leaves = []
    for path, leaf in wanted.items():
        array = stored[path] if path in stored else np.empty(leaf.shape, leaf.dtype)
        if _digest(array) != record["arrays"][path]:
            raise Damaged(f"the digest of {path} differs")
        leaves.append(array if isinstance(leaf, np.ndarray) else jnp.array(array))
    return jax.tree.unflatten(jax.tree.structure(template), leaves)


def _leaves(tree: Any) -> Iterator[tuple[str, Any]]:
    """(dotted path, leaf) of each leaf: ("params.layers.0.w_h", …)."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        yield jax.tree_util.keystr(path, simple=True, separator="."), leaf


def _digest(array: np.ndarray) -> dict:
    """What has to be the same again, bit for bit."""
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return {
        "shape": list(array.shape),
        "dtype": str(array.dtype),
        "sha256": hashlib.sha256(data.data).hexdigest(),
    }


def _files(folder: Path) -> dict[str, list[int]]:
    """{name: [bytes, CRC-32]} of every file below."""
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        data = path.read_bytes()
        found[str(path.relative_to(folder))] = [len(data), zlib.crc32(data)]
    return found


def _digest_of_record(record: dict) -> str:
    rest = {key: value for key, value in record.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _check_fits(path: str, leaf: Any, known: dict | None, where: Path) -> None:
    """RunError where the checkpoint is sound but of another model."""
    wanted = f"{leaf.dtype}{list(leaf.shape)}"
    found = known and f"{known['dtype']}{known['shape']}"
    if found != wanted:
        raise RunError(
            f"{where} does not fit the model: {path} should be {wanted} and is "
            f"{found or 'not there'}; use the config that the run was made with"
        )
