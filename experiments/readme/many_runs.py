"""The README's tables of many runs: studies and sweeps, each with its own sentence."""

from typing import Any

from experiments.gradients import STUDIES, load
from experiments.gradients import copying as copy_memory
from experiments.gradients.zoo import table
from experiments.results.markdown import markdown, measured
from experiments.results.rows import Row, shown


def headline(rows: dict[str, Row]) -> str:
    """What `make study` found, in its own words."""
    return f"> {sentence('cells', rows)}\n" if "study_cells" in rows else ""


def sentence(study: str, rows: dict[str, Row]) -> str:
    """What a study found, made of its recorded rows."""
    return load(study).headline(recorded(study, rows))


def recorded(study: str, rows: dict[str, Row]) -> list[dict[str, Any]]:
    """A study's rows, those of its own names or those in `study_NAME`."""
    own = own_rows(study, rows)
    if own:
        return [row["metrics"] for row in own]
    return rows[f"study_{study}"]["metrics"]["rows"] if f"study_{study}" in rows else []


def own_rows(study: str, rows: dict[str, Row]) -> list[Row]:
    """The rows of a study that has one for each variant."""
    prefix = load(study).own_rows
    return [row for name, row in rows.items() if prefix and name.startswith(prefix)]


def how(study: str, rows: dict[str, Row]) -> str:
    """By which command, and how long it took, all rows together."""
    own = own_rows(study, rows)
    if not own:
        return measured(rows[f"study_{study}"])
    seconds = sum(row["seconds"] for row in own)
    command = f"python -m experiments.gradients {study}"
    return measured(own[0] | {"command": command, "seconds": seconds})


def studies(rows: dict[str, Row]) -> str:
    """Each study's question, the answer that was expected and the one found."""
    items = []
    for name, asks in STUDIES.items():
        if recorded(name, rows):
            found = f"*Found:* {sentence(name, rows)} {how(name, rows)}."
            expected = f"*Expected:* {load(name).expects}"
            parts = (f"- **{linked(f'study_{name}')}.** {asks}", expected, found)
            items.append("  \n  ".join(parts) + "\n")
    return "".join(items)


def long_memory(rows: dict[str, Row]) -> str:
    """Seeds that solve each task, by cell and length."""
    return successes(rows, "study_long_memory", "T")


def pascanu(rows: dict[str, Row]) -> str:
    """Seeds that learn temporal order, by way of training and length."""
    return successes(rows, "study_pascanu", "L")


def copying(rows: dict[str, Row]) -> str:
    """Of each cell and length, seeds that copy better than without memory."""
    found = recorded("copying", rows)
    return markdown(*copy_memory.table(found)) if found else ""


def zoo(rows: dict[str, Row]) -> str:
    """Every cell that has a row, the best perplexity first."""
    found = recorded("zoo", rows)
    return markdown(*table(found)) if found else ""


def successes(rows: dict[str, Row], name: str, symbol: str) -> str:
    """Of each variant and task, "solved/seeds" at each length; "–" was not tried."""
    found = rows[name]["metrics"]["rows"] if name in rows else []
    found = [row for row in found if "solved" in row]
    lengths, tasks, variants = (
        list(dict.fromkeys(row[field] for row in found))
        for field in ("length", "task", "variant")
    )
    solved = {
        (row["task"], row["variant"], row["length"]): f"{row['solved']}/{row['seeds']}"
        for row in found
    }
    lines = [
        (
            task.replace("_", " "),
            *(
                ", ".join(solved.get((task, variant, T), "–") for T in lengths)
                for variant in variants
            ),
        )
        for task in tasks
    ]
    return markdown((f"{symbol} = {', '.join(map(str, lengths))}", *variants), lines)


def sweeps(rows: dict[str, Row]) -> str:
    """The best of each ready space, by its mean over seeds on the validation split."""
    lines = []
    for name, row in rows.items():
        if not name.startswith("sweep_") or name == "sweep_overhead":
            continue
        found = row["metrics"]
        best = found["best"][0]
        half = best["valid_half"]
        lines.append(
            (
                linked(name),
                ", ".join(f"{n} {state}" for state, n in found["trials"].items()),
                f"{best['valid']:.3f}" + (f" ± {half:.3f}" if half else ""),
                ", ".join(f"{k} {shown(v, 3)}" for k, v in varied(found).items()),
                measured(row),
            )
        )
    head = ("space", "trials", "best, nats per token", "its fields", "command")
    return markdown(head, lines)


def varied(found: dict[str, Any]) -> dict[str, Any]:
    """The best trial's values of the fields that varied, the weightiest first."""
    best = found["best"][0]
    names = [n for joined in found["importance"] for n in joined.split(" & ")]
    return {name: best[name] for name in names}


def linked(name: str) -> str:
    """What was studied or swept, linked to its figure."""
    return f"[{name.partition('_')[2]}](experiments/results/{name}.png)"
