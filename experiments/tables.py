"""The README's tables, made from the committed result rows and from nothing else."""

from collections.abc import Callable, Iterable
from typing import Any

from experiments.records import RESULTS, machine

Row = dict[str, Any]


def tables(rows: dict[str, Row]) -> dict[str, str]:
    """{name: Markdown table}; a row that was not measured yet is left out."""
    return {name: make(rows) for name, make in TABLES.items()}


def markdown(head: Iterable[str], lines: Iterable[Iterable[Any]]) -> str:
    """A Markdown table, ended by a newline."""
    head = list(head)
    rows = [head, ["---"] * len(head), *([str(c) for c in line] for line in lines)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def measured(row: Row) -> str:
    """Command, duration and machine."""
    return f"`{row['command']}`, {row['seconds'] / 60:.0f} min on {machine(row)}"


def published(rows: dict[str, Row]) -> str:
    """Perplexities beside what was published, or what is known exactly."""
    lines = []
    for name, what, beside in (
        ("zaremba_small", "Penn Treebank, Zaremba 2014 small", zaremba_small),
        ("grammar", "`grammar`", grammar),
        ("stdlib_docs", "`stdlib_docs`, words", stdlib_docs),
        ("first_run", "`stdlib_docs`, the three-minute run", stdlib_docs),
    ):
        if name in rows:
            row = rows[name]
            test = row["metrics"]["test"]["perplexity"]
            lines.append((what, f"**{test:.2f}**", beside(row), measured(row)))
    return markdown(("what", "test perplexity", "beside", "command"), lines)


def zaremba_small(row: Row) -> str:
    """Published: Zaremba, Sutskever & Vinyals 2014, table 1."""
    return f"114.5 published (valid {row['metrics']['valid']['perplexity']:.1f}, 120.7)"


def grammar(row: Row) -> str:
    """The exact entropy of the grammar's test distribution."""
    test, optimum = row["metrics"]["test"], row["metrics"]["optimum"]
    return f"{optimum:.3f}, the exact optimum ({test['perplexity'] / optimum - 1:+.2%})"


def stdlib_docs(row: Row) -> str:
    """The Kneser–Ney 4-gram on the same split."""
    test, baseline = row["metrics"]["test"], row["metrics"]["baseline"]["test"]
    share = test["perplexity"] / baseline["perplexity"] - 1
    return f"{baseline['perplexity']:.2f}, Kneser–Ney 4-gram ({share:+.1%})"


def tutorial(rows: dict[str, Row]) -> str:
    """The tutorial's Part 2, theirs and ours."""
    if "benchmark_tutorial" not in rows:
        return markdown(("what", "theirs", "here"), [])
    found = rows["benchmark_tutorial"]["metrics"]
    V, losses = found["vocabulary"], found["losses"]
    step = found["sgd_step_ms"]
    lines = [
        (
            f"loss before training, V = {V}",
            "8.98744 (ln 8000 = 8.98720)",
            f"{losses[0]:.5f} (ln {V} = {found['ln_V']:.5f})",
        ),
        ("after 10 epochs over 100 sentences", "5.710718", f"{losses[-1]:.6f}"),
        (
            "one SGD step, one CPU core",
            "350 ms NumPy, 70 ms Theano (GPU 23 ms)",
            f"{step['median']:.1f} ms ({found['sentence_tokens']} tokens)",
        ),
    ]
    return markdown(("what", "theirs", "here"), lines)


def speed(rows: dict[str, Row]) -> str:
    """Training steps against their twins, interleaved."""
    if "benchmark_steps" not in rows:
        return markdown(("model", "ms a step"), [])
    lines = []
    for name, found in rows["benchmark_steps"]["metrics"].items():
        lines.append(
            (
                name.replace("_", " "),
                f"{found['ours']['median']:.0f}",
                f"{found['plain_scan_over_ours']:.2f}×",
                f"{found['flax_over_ours']:.2f}×",
                f"{found['tokens_per_second']:,}",
            )
        )
    head = ("model", "ms a step", "plain scan", "Flax `nnx.RNN`", "tokens/s, best")
    return markdown(head, lines)


def first_run(rows: dict[str, Row]) -> str:
    """What `make run` printed, as it was kept beside the rows."""
    path = RESULTS / "first_run.txt"
    text = path.read_text(encoding="utf-8").strip("\n") if path.exists() else ""
    return f"```text\n{text}\n```\n"


TABLES: dict[str, Callable[[dict[str, Row]], str]] = {
    "first_run": first_run,
    "published": published,
    "tutorial": tutorial,
    "speed": speed,
}
