"""The README's tables, made from the committed result rows and from nothing else."""

import re
from collections.abc import Callable

from experiments.benchmark import tables as benchmarks
from experiments.readme import many_runs as study_tables
from experiments.readme.applications import applications
from experiments.readme.claims import claims, variants
from experiments.readme.own_texts import own_texts
from experiments.results.markdown import markdown, measured
from experiments.results.rows import RESULTS, Row

HOUR = "Penn Treebank in an hour of two cores"


def tables(rows: dict[str, Row]) -> dict[str, str]:
    """{name: Markdown table}; a row that was not measured yet is left out."""
    return {name: make(rows) for name, make in TABLES.items()} | benchmarks(rows)


def published(rows: dict[str, Row]) -> str:
    """Perplexities beside what was published, or what is known exactly."""
    lines = []
    for name, what, beside in (
        (
            "zaremba_small",
            "Penn Treebank, Zaremba 2014 small",
            zaremba_small,
        ),
        ("zaremba_small_bfloat16", "the same, products in bfloat16", bfloat16),
        ("ptb_hour", HOUR, ptb_hour),
        ("grammar", "`grammar`", grammar),
        ("stdlib_docs", "`stdlib_docs`, words", stdlib_docs),
        ("first_run", "`stdlib_docs`, the three-minute run", stdlib_docs),
    ):
        if name in rows:
            row = rows[name]
            test = row["metrics"]["test"]["perplexity"]
            found = f"test perplexity **{test:.2f}**"
            lines.append((what, found, beside(row), measured(row)))
    if "benchmark_adaptation" in rows:
        row = rows["benchmark_adaptation"]
        found = row["metrics"]["test"]
        what = "the same model with cache, dynamic evaluation and 5-gram"
        test = f"test perplexity **{found['all of it']:.2f}**, adaptive"
        beside = f"{found['all but dynamic']:.2f} without dynamic evaluation"
        at = 1 + [line[0] for line in lines].index(HOUR) if "ptb_hour" in rows else 0
        lines.insert(at, (what, test, beside, measured(row)))
    if "benchmark_tutorial" in rows:
        row = rows["benchmark_tutorial"]
        loss = f"loss **{row['metrics']['losses'][-1]:.3f}**"
        what = "the tutorial's Part 2, 10 epochs over 100 sentences"
        lines.append((what, loss, "5.711 there, on other sentences", measured(row)))
    if "benchmark_steps" in rows:
        row = rows["benchmark_steps"]
        found = row["metrics"]["zaremba_small"]
        step = f"**{found['ours']['median']:.0f} ms**"
        flax = f"{found['flax']['over_ours']:.2f} times as long in Flax's `nnx.RNN`"
        lines.append(("a training step, Zaremba small", step, flax, measured(row)))
    return markdown(("what", "found", "beside", "command"), lines)


def zaremba_small(row: Row) -> str:
    """Published: Zaremba, Sutskever & Vinyals 2014, table 1."""
    return f"114.5 published (valid {row['metrics']['valid']['perplexity']:.1f}, 120.7)"


def bfloat16(row: Row) -> str:
    """Beside float32's, which is the line above."""
    valid = row["metrics"]["valid"]["perplexity"]
    return f"the line above, in float32 (valid {valid:.1f}; one run of each)"


def ptb_hour(row: Row) -> str:
    """Published: Press & Wolf 2017, table 3, their small model with tied embeddings."""
    return "100.9 published for a small LSTM with tied embeddings"


def grammar(row: Row) -> str:
    """The exact entropy of the grammar's test distribution."""
    test, optimum = row["metrics"]["test"], row["metrics"]["optimum"]
    return f"{optimum:.3f}, the exact optimum ({test['perplexity'] / optimum - 1:+.2%})"


def stdlib_docs(row: Row) -> str:
    """The Kneser–Ney 4-gram on the same split."""
    test, baseline = row["metrics"]["test"], row["metrics"]["baseline"]["test"]
    share = test["perplexity"] / baseline["perplexity"] - 1
    return f"{baseline['perplexity']:.2f}, Kneser–Ney 4-gram ({share:+.1%})"


def first_run(rows: dict[str, Row]) -> str:
    """What `make run` printed, as it was kept beside the rows."""
    path = RESULTS / "first_run.txt"
    text = path.read_text(encoding="utf-8").strip("\n") if path.exists() else ""
    return f"```text\n{text}\n```\n"


def ladder(rows: dict[str, Row]) -> str:
    """What the rungs of the ladder gave, as far as they were climbed."""
    lines = []

    def rung(name: str, command: str, gave: Callable[[Row], str]) -> None:
        if name in rows:
            row = rows[name]
            lines.append((command, gave(row), f"{row['seconds'] / 60:.1f} min"))

    def perplexity(row: Row) -> str:
        return f"test perplexity {row['metrics']['test']['perplexity']:.2f}"

    def trials(row: Row) -> str:
        counts = row["metrics"]["trials"]
        return ", ".join(f"{n} trials {state}" for state, n in counts.items())

    def claims_held(row: Row) -> str:
        found = [claim[-1] for claim in row["metrics"]["claims"]]
        held, not_held = found.count("yes"), found.count("no")
        return f"{held} claims of the tutorial hold, {not_held} do not"

    def two_devices(row: Row) -> str:
        found = row["metrics"]["characters_2x128_lstm"]
        return f"a step {found['2_devices_speedup']:.2f} times as fast as on one device"

    def two_processes(row: Row) -> str:
        found = row["metrics"]["characters_2x128_lstm"]
        alone, together = found["1_device"]["median"], found["2_processes"]["median"]
        return f"{together:.0f} ms a step, {alone:.0f} ms in one process"

    rung("first_run", "`make run`", perplexity)
    rung("grammar", "`train --config grammar`", perplexity)
    rung("stdlib_docs", "`train --config stdlib_docs`", perplexity)
    rung("zaremba_small", "`train --config zaremba_small`", perplexity)
    rung("ptb_hour", "`train --config ptb_hour`", perplexity)
    rung("study_cells", "`make study`", lambda row: "the sentence above")
    rung("tutorial", "`make tutorial`", claims_held)
    rung("sweep_tutorial", "`sweep tutorial --small`", trials)
    rung("benchmark_devices", "`train --train.devices 2`, characters", two_devices)
    rung("benchmark_devices", "`launch --processes 2`, characters", two_processes)
    return markdown(("rung", "gave", "took"), lines)


def retold(rows: dict[str, Row]) -> str:
    """What the tutorial says, and what its chapters measured."""
    if "tutorial" not in rows:
        return "Not measured yet: `python -m experiments.tutorial --record`.\n"
    head = ("chapter", "of what", "the original says", "measured", "holds")
    parts = []
    for row in (rows[name] for name in rows if re.fullmatch(r"tutorial(_\d)?", name)):
        claims = markdown(head, row["metrics"]["claims"])
        parts.append(f"{claims}\nMeasured by {measured(row)}.\n")
    return "\n".join(parts)


TABLES: dict[str, Callable[[dict[str, Row]], str]] = {
    "first_run": first_run,
    "published": published,
    "ladder": ladder,
    "headline": study_tables.headline,
    "studies": study_tables.studies,
    "long_memory": study_tables.long_memory,
    "copying": study_tables.copying,
    "zoo": study_tables.zoo,
    "lstm_variants": variants,
    "claims": claims,
    "pascanu": study_tables.pascanu,
    "sweeps": study_tables.sweeps,
    "applications": applications,
    "own_texts": own_texts,
    "retold": retold,
}
