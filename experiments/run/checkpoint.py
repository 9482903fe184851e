"""Checkpoints: Orbax writes the arrays, this module makes them trustworthy.

A checkpoint is a folder named after its step. It holds `arrays/` (Orbax), a flat
{path: array} whatever the tree's types, and `meta.json`: the caller's numbers, a
SHA-256 digest per array, and size and CRC of Orbax's files. It is written under
another name and renamed when complete, so that a kill at any time leaves either all
of it or nothing under its name.

Orbax alone restores flipped bits silently; here the digests are checked on restoring,
and a damaged checkpoint is passed over for an older one. The files are checked before
Orbax reads them, since on broken ones it may also print from threads of its own.
"""

import hashlib
import json
import shutil
import sys
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from experiments.run.files import RunError, plain, write_text_atomic

ARRAYS, META = "arrays", "meta.json"
UNFINISHED, REPLACED = ".unfinished-", ".replaced-"


def say(line: str) -> None:
    """One line to standard error."""
    print(line, file=sys.stderr, flush=True)


class Damaged(Exception):
    """A checkpoint that does not hold what was saved."""


class Checkpoints:
    """The checkpoints in a folder: the last `keep`, and the best besides.

    A tree is any pytree of arrays. A template is a tree of the same structure, or of
    a part of it, whose leaves have a shape and a dtype (arrays, or
    `jax.ShapeDtypeStruct`); a NumPy leaf is restored as NumPy, any other as JAX.
    """

    def __init__(
        self, folder: str | Path, keep: int = 2, warn: Callable[[str], None] = say
    ):
        self.folder = Path(folder).absolute()
        self.keep = keep
        self.warn = warn

    def steps(self) -> list[int]:
        """Steps with a complete checkpoint, rising."""
        if not self.folder.is_dir():
            return []
        return sorted(int(p.name) for p in self.folder.iterdir() if p.name.isdigit())

    def save(self, step: int, tree: Any, meta: dict, best: bool = False) -> Path:
        """Writes the tree as the checkpoint of `step`, and drops what is not kept.

        Checkpoints of this or later steps, which only a fall-back to an older one
        can have left, are replaced.

        Args:
          meta: JSON values: position in the data, best loss so far, …
          best: this is the best so far; kept until a better one comes.
        """
        arrays = {path: np.asarray(leaf) for path, leaf in _leaves(tree)}
        temporary = self.folder / f"{UNFINISHED}{step}"
        self.sweep()
        temporary.mkdir(parents=True)
        with ThreadPoolExecutor(2) as pool:  # hashing releases Python's lock
            digests = pool.map(_digest, arrays.values())
            stored = {path: array for path, array in arrays.items() if array.size}
            _orbax().save(temporary / ARRAYS, stored)
            digests = dict(zip(arrays, digests, strict=True))
        record = {
            "step": step,
            "best": best,
            "meta": plain(meta, 17),
            "arrays": digests,
        }
        record["files"] = _files(temporary / ARRAYS)
        record["digest"] = _digest_of_record(record)
        write_text_atomic(temporary / META, json.dumps(record, indent=1))
        for later in [s for s in self.steps() if s >= step]:
            (self.folder / str(later)).rename(self.folder / f"{REPLACED}{later}")
        path = temporary.rename(self.folder / str(step))
        self._prune()
        return path

    def latest(self, template: Any) -> tuple[Any, dict] | None:
        """(tree, meta) of the last sound checkpoint; None where there is none."""
        return self._first_sound(reversed(self.steps()), template)

    def best(self, template: Any) -> tuple[Any, dict] | None:
        """(tree, meta) of the best checkpoint, or of the last if none is marked."""
        steps = self.steps()
        marked = [s for s in steps if self._is_best(s)]
        rest = [s for s in steps if s not in marked]
        return self._first_sound([*reversed(marked), *reversed(rest)], template)

    def sweep(self) -> None:
        """Removes what kills have left behind."""
        if self.folder.is_dir():
            for path in self.folder.iterdir():
                if path.name.startswith((UNFINISHED, REPLACED)):
                    shutil.rmtree(path, ignore_errors=True)

    def _first_sound(self, steps, template) -> tuple[Any, dict] | None:
        for step in steps:
            try:
                return self._restore(step, template)
            except Damaged as error:
                path = self.folder / str(step)
                self.warn(f"warning: {path} is damaged ({error}); trying another")
        return None

    def _restore(self, step: int, template: Any) -> tuple[Any, dict]:
        """(tree, meta), every array verified; Damaged where something is wrong."""
        record = self._record(step)
        wanted = dict(_leaves(template))
        for path, leaf in wanted.items():
            _check_fits(path, leaf, record["arrays"].get(path), self.folder / str(step))
        if _files(self.folder / str(step) / ARRAYS) != record["files"]:
            raise Damaged("the files that hold its arrays have changed")
        empty = {p for p in wanted if not np.prod(record["arrays"][p]["shape"])}
        stored = _read(self.folder / str(step) / ARRAYS, sorted(set(wanted) - empty))
        leaves = []
        for path, leaf in wanted.items():
            known = record["arrays"][path]
            array = stored[path] if path in stored else np.empty(leaf.shape, leaf.dtype)
            if _digest(array) != known:
                raise Damaged(f"the digest of {path} differs")
            leaves.append(array if isinstance(leaf, np.ndarray) else jnp.array(array))
        tree = jax.tree.unflatten(jax.tree.structure(template), leaves)
        return tree, record["meta"]

    def _record(self, step: int) -> dict:
        try:
            text = (self.folder / str(step) / META).read_text(encoding="utf-8")
            record = json.loads(text)
            if record["digest"] != _digest_of_record(record):
                raise Damaged(f"the digest of {META} differs")
            return record
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Damaged(f"{META} cannot be read: {error}") from None

    def _is_best(self, step: int) -> bool:
        try:
            return self._record(step)["best"]
        except Damaged:
            return False

    def _prune(self) -> None:
        steps = self.steps()
        best = [s for s in steps if self._is_best(s)][-1:]
        for step in set(steps[: -self.keep]) - set(best):
            (self.folder / str(step)).rename(self.folder / f"{REPLACED}{step}")
        self.sweep()


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


def _orbax():
    """Orbax's plain, synchronous checkpointer, which waits for no other process; its
    import takes most of a second."""
    here = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(
        primary_host=here, active_processes={here}, barrier_sync_key_prefix="alone"
    )
    handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=alone)
    return ocp.Checkpointer(handler, multiprocessing_options=alone)


def _read(folder: Path, paths: list[str]) -> dict[str, np.ndarray]:
    """The arrays with these paths; Damaged where Orbax cannot read them."""
    wanted = {path: ocp.RestoreArgs(restore_type=np.ndarray) for path in paths}
    args = ocp.args.PyTreeRestore(
        item=dict.fromkeys(paths, 0), restore_args=wanted, partial_restore=True
    )
    try:
        found = _orbax().restore(folder, args=args) if paths else {}
        return {path: np.asarray(found[path]) for path in paths}
    except Exception as error:  # whatever Orbax makes of broken files
        first_line = str(error).strip().partition("\n")[0][:120]
        raise Damaged(f"{type(error).__name__}: {first_line}") from None
