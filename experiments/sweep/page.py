"""The page of a sweep: best configs, what matters, and how far gradients reach."""

from experiments.figures.page import (
    Cell,
    Html,
    figure_block,
    figure_grid,
    page,
    section,
    table_block,
    text_block,
)
from experiments.sweep.drawing import Drawn
from experiments.sweep.rows import NATS, Row, counts, ranked, short, unit_of, value_of
from experiments.sweep.space_file import Plan
from lm.losses import perplexity

BEST = 10


def sweep_page(
    plan: Plan, fields: list[str], rows: list[Row], drawn: dict[str, Drawn]
) -> Html:
    """The whole page, self-contained. `fields`: what varies; `drawn`: what `draw`
    gave."""
    best, unit = ranked(rows), unit_of(plan.application)
    shown_as = {
        "Which fields matter": [drawn["importance"]],
        "Response curves": [d for name, d in drawn.items() if "response" in name],
        "Parallel coordinates": [drawn["parallel"]],
        "Learning curves": [drawn["curves"]],
        "Lag profile against validation loss": [drawn["reach"]],
    }
    sections = [section("Best configs", best_table(best[:BEST], fields, unit))]
    sections += [section(head, *blocks(them)) for head, them in shown_as.items()]
    sections.append(section("Every trial", trial_table(rows, fields, unit)))
    seeds = max((len(row["runs"]) for row in rows), default=0)
    each = f"{seeds} seeds" if seeds > 1 else "one seed"
    lead = (
        f"{len(rows)} trials ({counts(rows)}), {each} each. A trial's value is the "
        "mean over its seeds of the best validation loss, ± half its 95 % interval. "
        "Numbers: table.csv, table.json. Base config: "
        f"{plan.source.raw.get('config', 'default')}."
    )
    return page(f"Sweep {plan.name}", sections, lead)


def blocks(drawn: list[Drawn]) -> list[Html]:
    """Figures, side by side where there are several, and what there is to note."""
    pictures = [figure_block(d.figure) for d in drawn if d.figure is not None]
    found = [figure_grid(*pictures)] if len(pictures) > 1 else pictures
    return found + [text_block(d.note) for d in drawn if d.note]


def best_table(best: list[Row], fields: list[str], unit: str) -> Html:
    """The best trials; the test split speaks of the first alone, and ranks nothing."""
    if not best:
        return text_block("No trial came to an end.")
    nats = unit == NATS
    more = ["perplexity", "test perplexity"] if nats else ["test"]
    head = ["rank", *fields, f"valid, {unit}", *more, "trial"]
    as_text = perplexity if nats else float
    lines = [
        [
            rank,
            *(short(row["fields"].get(field, "")) for field in fields),
            Cell(value_of(row), strong=rank == 1),
            *([f"{as_text(row['valid']):.4g}"] if nats else []),
            f"{as_text(row['test']):.4g}" if rank == 1 else "",
            row["trial"],
        ]
        for rank, row in enumerate(best, 1)
    ]
    return table_block(head, lines, "Ranked by validation loss.")


def trial_table(rows: list[Row], fields: list[str], unit: str) -> Html:
    """A line a trial."""
    head = ["trial", "state", *fields, f"valid, {unit}"]
    head += ["steps", "seconds", "why"]
    lines = []
    for row in rows:
        steps = [run["steps"] for run in row["runs"]] or list(row["heard"])[-1:]
        seconds = sum(run["seconds"] for run in row["runs"])
        lines.append(
            [
                row["trial"],
                row["state"],
                *(short(row["fields"].get(field, "")) for field in fields),
                value_of(row) if row["valid"] is not None else "",
                f"{max(steps):,}" if steps else "",
                f"{seconds:.1f}" if row["runs"] else "",
                (row["reason"] or "")[:60],
            ]
        )
    return table_block(head, lines)
