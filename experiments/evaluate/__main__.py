"""Perplexity of trained language models, adapted to what they read, and mixed.

A run's model reads valid and test from beginning to end. Beside its plain perplexity
stand those with a softmax temperature (--temperature tune), with a neural cache that
prefers words of the last N tokens (--cache 500), with dynamic evaluation, which goes
on training on what it has scored (--dynamic), and mixed with an n-gram (--ngram 5),
with other runs (--run A B) or with probabilities out of a file (--mix FILE): each by
itself, and all together.

Whatever is tuned is tuned on valid, and test is read once, with what was chosen:
numbers by climbing over grids, which can be given, weights of mixtures by expectation
maximisation. Rows whose parameters are `adaptive` are no results of a fixed model: what
scores the last token has learnt from the test text before it.

Example: --run runs/ptb --temperature tune --cache 500 --dynamic --ngram 5
"""

import sys
from collections.abc import Sequence
from typing import Any

from experiments.console.command_line import command_line, user_errors
from experiments.console.printable import json_line, visible
from experiments.evaluate.options import Evaluate


def main(argv: Sequence[str] | None = None) -> None:
    """The command line; a user's mistake prints one line and exits with 2."""
    options = command_line(
        Evaluate,
        sys.argv[1:] if argv is None else argv,
        __doc__ or "",
        prog="python -m experiments.evaluate",
        pairs=False,
    )
    with user_errors():
        from experiments.console.live import Live
        from experiments.evaluate.evaluation import evaluate

        with Live(stream=sys.stderr) as line:
            found = evaluate(options, line.show)
        if options.jsonl:
            for row in found["rows"]:
                print(json_line(row))
            rest = {key: value for key, value in found.items() if key != "rows"}
            print(json_line({"summary": rest}))
        else:
            for text in lines_of(found):
                print(visible(text))


def lines_of(found: dict[str, Any]) -> list[str]:
    """What `evaluate` found, for people."""
    asked, tokens = found["options"], found["tokens"]
    read = ", ".join(f"{count:,} tokens of {name}" for name, count in tokens.items())
    lanes = asked["lanes"]
    lines = [f"read: {read}, in {lanes} lane{'s' if lanes > 1 else ''}"]
    lines += tuned_lines(found)
    names = [row["name"] for row in found["rows"]]
    wide = max(map(len, names))
    lines.append(f"{'':{wide}}  " + "".join(f"{s:>9}" for s in tokens) + "  parameters")
    for row in found["rows"]:
        scores = "".join(f"{row[split]:9.2f}" for split in tokens)
        lines.append(
            f"{row['name']:{wide}}  {scores}  {row['parameters']:8}{said(row)}"
        )
    return lines


def tuned_lines(found: dict[str, Any]) -> list[str]:
    """What was tuned, over which values, and what came out at the edge of them."""
    asked, lines = found["options"], []
    if len(asked["temperatures"]) > 1:
        lines.append(f"tuned on valid: T over {listed(asked['temperatures'])}")
    if asked["cache"] and len(asked["theta"]) > 1:
        lines.append(f"tuned on valid: θ over {listed(asked['theta'])}")
    if any(row["weights"] for row in found["rows"]):
        lines.append("tuned on valid: weights, by expectation maximisation")
    for run, own in found["dynamic"].items():
        if own["tried"]:
            lines.append(
                f"tuned on {own['tokens']:,} tokens of valid: η over "
                f"{listed(asked['rate'])}; λ over {listed(asked['decay'])}; "
                f"{len(own['tried'])} pairs tried"
            )
        lines.append(
            f"dynamic evaluation of {run}: η {own['rate']:g}, λ {own['decay']:g}, "
            f"ε {own['epsilon']:g}, mean RMS {own['mean_rms']:.3g} over {own['mean']}, "
            f"segments of {asked['segment']}"
        )
    return lines + edge_lines(found)


def edge_lines(found: dict[str, Any]) -> list[str]:
    """What was chosen at the edge of its grid, beyond which better values may lie."""
    at = [(name, run) for run, own in found["dynamic"].items() for name in own["edges"]]
    at += [(name, row["name"]) for row in found["rows"] for name in row["edges"]]
    places: dict[str, list[str]] = {}
    for name, where in at:
        places.setdefault(name, []).append(where)
    return [
        f"note: {name} is at the edge of its grid ({'; '.join(where)})"
        for name, where in places.items()
    ]


def said(row: dict[str, Any]) -> str:
    """A row's own choices."""
    parts = [f"{name} {value:g}" for name, value in row["chosen"].items()]
    parts += [f"{share:.3f} {name}" for name, share in row["weights"].items()]
    return "  " + ", ".join(parts) if parts else ""


def listed(values: Sequence[float]) -> str:
    """A grid's values, or where it is long, its ends."""
    if len(values) > 9:
        return f"{len(values)} values from {values[0]:g} to {values[-1]:g}"
    return ", ".join(f"{value:g}" for value in values)


if __name__ == "__main__":
    main()
