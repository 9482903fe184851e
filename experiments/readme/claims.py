"""The table of papers' claims that studies put to the test, each with what was found.

A claim whose rows are not there yet has no line.
"""

from collections.abc import Iterator
from functools import partial
from statistics import median
from typing import Any

from experiments.gradients import copying, odyssey, parity
from experiments.readme.many_runs import recorded
from experiments.results.intervals import Mean, difference, wilson
from experiments.results.markdown import markdown
from experiments.results.rows import Row

Line = tuple[str, str, str, bool, str]


def claims(rows: dict[str, Row]) -> str:
    """A Markdown table; "" where there is nothing to tell."""
    found = [*greff(rows), *xlstm(rows), *grazzi(rows), *copied(rows)]
    lines = [
        (claim, paper, told, "yes" if holds else "no", f"`{command}`")
        for claim, paper, told, holds, command in found
    ]
    head = ("claim", "whose", "found (95 %)", "holds", "command")
    return markdown(head, lines) if lines else ""


def variants(rows: dict[str, Row]) -> str:
    """Greff's variants of the LSTM, the best first; "" without the vanilla's row."""
    found = recorded("zoo", rows)
    if not any(row["cell"] == odyssey.VANILLA for row in found):
        return ""
    return markdown(*odyssey.table(found))


def greff(rows: dict[str, Row]) -> Iterator[Line]:
    """Of LSTM's variants, from the rows of the zoo."""
    found = recorded("zoo", rows)
    cells = ",".join((odyssey.VANILLA, *odyssey.CHANGED))
    seeds = max((row["text"].get("seeds", 0) for row in found), default=0)
    command = f"python -m experiments.gradients zoo --cells {cells}"
    for claim, judge in (
        (
            "no variant of the LSTM is better than the vanilla one, with peepholes",
            partial(odyssey.unbeaten, than=odyssey.VANILLA),
        ),
        (
            "nor than the plain one, without them",
            partial(odyssey.unbeaten, than=odyssey.PLAIN),
        ),
        ("forget gate and output activation matter most", odyssey.matters),
    ):
        judged = judge(found)
        if judged is not None:
            yield (
                claim,
                "Greff et al. 2015",
                f"{judged[0]}; {seeds} seeds each",
                judged[1],
                command,
            )


def xlstm(rows: dict[str, Row]) -> Iterator[Line]:
    """Of deep stacks, from the study of depth: the deepest with and without residuals,
    and a single layer."""
    found = recorded("depth", rows)
    if not found:
        return
    deepest = max(row["layers"] for row in found)
    with_, without, one = (
        next(r for r in found if r["layers"] == n and r["residual"] is kind)
        for n, kind in ((deepest, True), (deepest, False), (1, False))
    )
    residual, plain, single = map(perplexity, (with_, without, one))
    counts = without["seeds"], with_["seeds"]
    lost = difference(plain, residual, counts)
    told = (
        f"{deepest} layers: perplexity {plain} without residual connections, "
        f"{residual} with (difference {lost}); one layer {single}; {counts[0]} seeds"
    )
    fails = lost.value - lost.half > 0 and plain.value > single.value
    claim = "a deep LSTM stack fails without residual connections"
    yield claim, "Beck et al. 2024 (xLSTM)", told, fails, command_of(rows, "depth")


def perplexity(row: dict[str, Any]) -> Mean:
    """A row's, with its interval."""
    return Mean(row["perplexity"], row["perplexity_half"])


def grazzi(rows: dict[str, Row]) -> Iterator[Line]:
    """Of parity: who can turn a state around, and who cannot."""
    found = recorded("parity", rows)
    for turns, claim in (
        (False, "recurrences with eigenvalues in [0, 1] cannot do parity"),
        (True, "with eigenvalues down to −1, or mixing units nonlinearly, they can"),
    ):
        own = [row for row in found if row["turns"] is turns]
        if own:
            yield (
                claim,
                "Grazzi et al. 2024",
                f"over {parity.RIGHT:.0%} of {own[0]['asked']} bits' parities right, "
                f"learnt from {own[0]['length']}: {counted(own, 'able')}",
                all((2 * row["able"] > row["seeds"]) is turns for row in own),
                command_of(rows, "parity"),
            )


def copied(rows: dict[str, Row]) -> Iterator[Line]:
    """Of copying over 100 steps and more, the plain LSTM beside."""
    found = [row for row in recorded("copying", rows) if row["length"] >= 100]
    for cells, how, paper in (
        (
            copying.KEPT,
            "a recurrent matrix kept orthogonal",
            "Helfrich et al. 2018; Lezcano-Casado & Martínez-Rubio 2019",
        ),
        (
            ("lstm_chrono",),
            "an LSTM whose gates start at time constants up to T",
            "Tallec & Ollivier 2018",
        ),
    ):
        own = [row for row in found if row["variant"] in cells]
        if own:
            shown = own + [row for row in found if row["variant"] == "lstm"]
            told = (
                f"below {copying.BELOW:.0%} of the loss without memory: "
                f"{counted(shown, 'below')}; loss over it {losses(shown)}"
            )
            able = any(2 * row["below"] > row["seeds"] for row in own)
            claim = f"{how} remembers in copying over 100 steps and more"
            yield claim, paper, told, able, command_of(rows, "copying")


def losses(rows: list[dict[str, Any]]) -> str:
    """ "lstm 0.88 at T = 100, …": medians over seeds."""
    return ", ".join(
        f"{row['variant']} {median(row['loss']) / row['floor']:.2g} at T = "
        f"{row['length']}"
        for row in rows
        if row["loss"]
    )


def counted(rows: list[dict[str, Any]], name: str) -> str:
    """ "lstm 2 of 3 seeds [0.21, 0.94], …", with Wilson's intervals."""
    parts = []
    for cell in dict.fromkeys(row["variant"] for row in rows):
        own = [row for row in rows if row["variant"] == cell]
        hits, seeds = (sum(row[key] for row in own) for key in (name, "seeds"))
        low, high = wilson(hits, seeds)
        parts.append(f"{cell} {hits} of {seeds} [{low:.2f}, {high:.2f}]")
    return ", ".join(parts)


def command_of(rows: dict[str, Row], study: str) -> str:
    """By which a study's rows were measured."""
    return rows[f"study_{study}"]["command"]
