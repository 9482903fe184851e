"""`stdlib_docs`: English sentences from the running Python's own documentation.

Docstrings of the standard library (its files are parsed, never run) and the topics of
the language reference where `pydoc_data` has them. Left out: tests, bundled
applications and third-party code, doctests, code, tables, signatures, and what is no
sentence. A document is one file, or one reference topic.

The text follows the Python version, some 10 % between neighbours: the version and a
fingerprint go with every run. What was read is kept in the cache folder, under a digest
of the files' names, sizes and times and of the code that reads them: to read it anew
takes seconds.
"""

import ast
import contextlib
import functools
import hashlib
import json
import os
import platform
import re
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_pipeline import sentences
from data_pipeline.config import DataConfig
from data_pipeline.corpora.dealing import split_documents
from data_pipeline.corpora.text import SPLITS, Text, unique_lines
from data_pipeline.errors import DataError
from data_pipeline.paths import cache_folder
from data_pipeline.sentences import split_sentences

FRACTIONS = (0.8, 0.1, 0.1)
SKIPPED_FOLDERS = frozenset(
    "test tests idlelib lib2to3 site-packages dist-packages turtledemo pydoc_data "
    "__pycache__ idle_test _vendor".split()
)
TOPICS = "pydoc_data/topics.py"
_ITEM = re.compile(
    r"^(?:(?:[-*+•o]|\(?\d{1,2}[.)]|:\w[^:]*:|@\w+|[*\w]+ *(?:--|:)) +)+"
)
_CODE = re.compile(
    r"^(?:>>>|\.\.\. |\$ |#|@|class \w+.*:$|def \w+|import \w|from \w+ import|\.\. )"
    r"|^[\w.]+ = |^[\w.]+\(.*\)(?: ->.*)?$|::=|[|+]-|={3}|-{3}|_{3}|~{3}|\S  +\S+  +\S"
)
_FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
_TOKEN = re.compile(r"[A-Za-z]+(?:['-][A-Za-z]+)*|\S")


def load(config: DataConfig) -> Text:
    """The corpus, split by document 80/10/10 by size, each sentence kept once."""
    root = Path(sysconfig.get_path("stdlib"))
    documents = kept_documents(root, cache_folder(config.cache_dir))
    if len(documents) < 10:
        raise DataError(
            "stdlib_docs: this Python has no readable standard library sources in "
            f"{sysconfig.get_path('stdlib')}; choose data.corpus grammar or a file"
        )
    names = sorted(documents)
    sizes = [sum(map(len, documents[name])) for name in names]
    chosen = split_documents(names, sizes, FRACTIONS, config.seed)
    splits = unique_lines(
        {s: [line for i in chosen[s] for line in documents[names[i]]] for s in SPLITS}
    )
    facts = {"python": platform.python_version(), "documents": len(names)}
    return Text("stdlib_docs", splits, facts)


@functools.cache
def kept_documents(root: Path, cache: Path) -> dict[str, list[str]]:
    """`read_documents`, from the cache where it has them. A cache that cannot be read
    or written is done without."""
    folder = cache / f"stdlib_docs-{digest(root)}"
    with contextlib.suppress(OSError, ValueError):
        return json.loads((folder / "documents.json").read_text("utf-8"))
    documents = read_documents(root)
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "corpus.json").write_text('{"name": "stdlib_docs, as read"}')
        made = folder / f"documents.{os.getpid()}"
        made.write_text(json.dumps(documents), "utf-8")
        made.replace(folder / "documents.json")
    return documents


def digest(root: Path) -> str:
    """Of what the documents follow from: files under `root`, and the code here."""
    found = hashlib.sha256(platform.python_version().encode())
    for path in sources(root):
        with contextlib.suppress(OSError):
            status = path.stat()
            told = f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0"
            found.update(told.encode(errors="surrogateescape"))
    for code in (__file__, sentences.__file__):
        found.update(Path(code).read_bytes())
    return found.hexdigest()[:16]


def sources(root: Path) -> list[Path]:
    """Source files under `root` and in folders that are not left out, sorted."""
    found = []
    for folder, inside, names in os.walk(root):
        inside[:] = [name for name in inside if name not in SKIPPED_FOLDERS]
        found += [Path(folder, name) for name in names if name.endswith(".py")]
    topics = root / TOPICS
    return sorted([*found, topics] if topics.exists() else found)


def read_documents(root: Path) -> dict[str, list[str]]:
    """Sentences, one a line, of each file under `root` and of each topic."""
    documents = {}
    for path in sources(root):
        if path != root / TOPICS:
            lines = [s for doc in docstrings(path) for s in prose_sentences(doc)]
            documents[path.relative_to(root).as_posix()] = lines
    for name, text in reference_topics(root / TOPICS).items():
        documents[f"topic:{name}"] = prose_sentences(text)
    return {name: lines for name, lines in documents.items() if lines}


def _parse(path: Path) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None


def docstrings(path: Path) -> list[str]:
    """Docstrings of a source file's module, classes and functions; unread files: []."""
    tree = _parse(path)
    if tree is None:
        return []
    return [doc for node in _documented(tree) if (doc := ast.get_docstring(node))]


def _documented(node: ast.AST) -> Iterator[Any]:
    """Modules, classes and functions in the file's order; expressions hold none."""
    if isinstance(node, ast.Module | ast.ClassDef | _FUNCTIONS):
        yield node
    for field in ("body", "orelse", "handlers", "finalbody"):
        for child in getattr(node, field, ()):
            yield from _documented(child)


def reference_topics(path: Path) -> dict[str, str]:
    """Topics of the language reference, or {} where this Python has none."""
    tree = _parse(path) if path.exists() else None
    for node in tree.body if tree else ():
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            try:
                return ast.literal_eval(node.value)
            except ValueError:
                return {}
    return {}


def prose_sentences(text: str) -> list[str]:
    """The English sentences of a docstring, each with a newline at its end."""
    sentences = [s for p in _paragraphs(text) for s in split_sentences(p)]
    return [f"{s}\n" for s in sentences if is_sentence(s)]


def _paragraphs(text: str) -> list[str]:
    """Runs of prose lines, unwrapped; list items are paragraphs of their own."""
    paragraphs: list[list[str]] = [[]]
    skipping = False  # in a doctest, until the next blank line
    for raw in text.expandtabs().splitlines():
        line = raw.strip()
        if not line or _CODE.search(line):
            skipping = line.startswith(">>>") or (skipping and bool(line))
            paragraphs.append([])
        elif not skipping:
            if _ITEM.match(line):
                paragraphs.append([])
                line = _ITEM.sub("", line, count=1)
            paragraphs[-1].append(line)
    joined = (" ".join(lines) for lines in paragraphs)
    return [re.sub(r"\s+", " ", p.replace("`", "")) for p in joined if p]


def is_sentence(text: str) -> bool:
    """Starts with a capital, ends like a sentence or reads like one, mostly words."""
    tokens = _TOKEN.findall(text.replace(",", "").replace(".", ""))
    words = sum(token[0].isalpha() for token in tokens)
    ended = text.rstrip("\"')").endswith((".", "!", "?", ":"))
    return (
        text.isascii()
        and bool(re.match(r"[\"'(*]?(?!XXX)[A-Z]", text))
        and words >= (3 if ended else 4)
        and words >= (0.7 if ended else 0.85) * len(tokens)
    )
