"""The page of how a model reads a text."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from data_pipeline.corpora.reading import lines_of as split_lines
from data_pipeline.paths import user_path
from data_pipeline.tokens import EOS
from data_pipeline.vocabulary import UNK_ID
from experiments.applications.language_model.trained import Trained
from experiments.applications.language_model.words import SPLIT
from experiments.applications.lines import Line, lines_from, read_lines
from experiments.figures.page import Html, escape, page, section, text_block
from experiments.read.packed import digits, fractions, json_in_page, logarithms
from experiments.read.reading import Seen, read
from experiments.read.tokens import lines_of, named
from experiments.read.units import ranked
from experiments.run.files import check_place, write_text_atomic
from experiments.train.trained import load_trained
from lm.losses import perplexity

HERE = Path(__file__).parent
CSS, SCRIPT, CONTROLS = (
    (HERE / name).read_text(encoding="utf-8")
    for name in ("page.css", "page.js", "page.html")
)
UNIT = {"bits": math.log(2), "nats": 1.0}
SURPRISING, CONTEXT = 16, 24


def page_of(options: Any) -> Path:
    """Writes the page that the command's options ask for; where it is.

    Raises:
      RunError, DataError: where there is no run, no text, or no place for the page.
    """
    out = options.out or Path(options.run) / "read.html"
    trained = load_trained(options.run)
    check_place(out)
    seen = read(trained, given_lines(options, trained), options.top, options.max_tokens)
    write_text_atomic(out, make_page(trained, seen, Path(options.run), options.base))
    return out


def given_lines(options: Any, trained: Trained) -> list[Line]:
    """The lines of --text, or of --input as training reads a file."""
    if options.text:
        return list(lines_from(split_lines(iter([options.text]))))
    data = trained.config.data
    path = (
        options.input if options.input == "-" else user_path(options.input, "--input")
    )
    return read_lines(str(path), data.column, data.errors, "--input")


def make_page(trained: Trained, seen: Seen, run: Path, base: str) -> Html:
    """The whole page."""
    units = seen.details.nats_TB / UNIT[base]
    names = [named(trained.vocabulary, t) for p in seen.pieces for t in p.tokens]
    scale = max(1.0, math.ceil(float(np.max(units))))
    known = data_of(trained, seen, base, names, scale)
    sections = [
        section("The text", reader(trained, seen, units, names, base, scale)),
        section("Most surprising", surprising(trained, seen, units, names, base)),
        section("How to read this page", *map(text_block, NOTES)),
    ]
    script = Html(
        f'<script type="application/json" id="data">{json_in_page(known)}</script>\n'
        f"<script>\n{SCRIPT}</script>"
    )
    title = f"How {run.resolve().name} reads"
    return page(title, [*sections, script], told(trained, seen), CSS)


NOTES = (
    "Surprisal is −log P(token | all tokens before it); entropy its mean over what "
    "could have come; rank the token's place in the vocabulary, 1 being the likeliest.",
    "Where a token's loss reaches: the norm ‖∂ℓ/∂x‖ of the gradient of its surprisal "
    "ℓ, in nats, with respect to what the network read at each earlier step, through "
    "all paths, exact; the scale is logarithmic and ends at a thousandth of the "
    "largest. Beside it the same for the state h of each layer, ‖∂ℓ/∂h‖ by how many "
    "steps before; the horizon is the farthest step that keeps over 1 % of the norm at "
    "the step of the guess.",
    "A unit's activation is what the unit hands to the layer above once it has read "
    "the token (Karpathy, Johnson & Li 2015). Its colours stay when a token is chosen.",
    "Keys: the arrows, Home and End move over the tokens, Enter shows where a token's "
    "loss reaches, Escape goes back to surprisal. The page's address keeps the token "
    "that is chosen, #t12, and #u0-7 is unit 7 of layer 0.",
)


def told(trained: Trained, seen: Seen) -> str:
    """The model and the text in a sentence."""
    model, nats = trained.config.model, seen.details.nats_TB
    mean = float(np.mean(nats, dtype=np.float64))
    unknown = int(np.sum(seen.ids == UNK_ID))
    return (
        f"{model.kind}, {model.layers} × {model.hidden} units, step {trained.step:,}, "
        f"vocabulary {trained.vocabulary.size:,}. {len(nats):,} tokens, "
        f"{mean / UNIT['bits']:.2f} bits a token, perplexity {perplexity(mean):.4g}"
        + (f"; {unknown} unknown, read as <unk>." if unknown else ".")
    )


def data_of(
    trained: Trained, seen: Seen, base: str, names: list[str], scale: float
) -> dict[str, Any]:
    """All numbers of the page, as its script reads them."""
    found, unit = seen.details, UNIT[base]
    lower = np.tril_indices(len(seen.ids))
    layers = list(seen.units.values())
    guesses = [
        [[named(trained.vocabulary, w), digits(math.exp(log))] for w, log in places]
        for places in (
            zip(trained.vocabulary.decode(ids), logs, strict=True)
            for ids, logs in zip(found.guesses_TBK, found.logs_TBK, strict=True)
        )
    ]
    return {
        "base": base,
        "scale": scale,
        "vocabulary": trained.vocabulary.size,
        "names": ["start", *names],
        "surprisal": [digits(x / unit) for x in found.nats_TB],
        "chance": [digits(math.exp(-x)) for x in found.nats_TB],
        "entropy": [digits(x / unit) for x in found.entropy_TB],
        "rank": found.rank_TB.tolist(),
        "unknown": (1 + np.flatnonzero(seen.ids == UNK_ID)).tolist(),
        "guesses": guesses,
        "inputs": logarithms(seen.reach.inputs_TTB[lower]),
        "states": {
            name: logarithms(norms_TT[lower])
            for name, norms_TT in seen.reach.states.items()
        },
        "units": {name: fractions(layer) for name, layer in seen.units.items()},
        "orders": {
            name: {
                "of": order.of,
                "units": [(a, b, digits(v)) for a, b, v in order.units],
            }
            for name, order in ranked(layers, [p.tokens for p in seen.pieces]).items()
        },
    }


def reader(
    trained: Trained, seen: Seen, units, names: list[str], base: str, scale: float
) -> Html:
    """Controls, the text, and room for what is said of a token."""
    lines = []
    for number, line in enumerate(lines_of(trained.vocabulary, seen.pieces)):
        spans = [] if number else [token(0, "", "▸", "start of the text", 0, "mark")]
        for at, gap, text in line:
            surprise, kind = float(units[at - 1]), ""
            said = f"{names[at - 1]}, {digits(surprise):g} {base}"
            if seen.ids[at - 1] == UNK_ID:
                kind, said = "unknown", f"{said}, unknown"
            if text in (EOS, "↵"):  # with the word before it, on no line of its own
                kind, gap = "mark", gap and "\u00a0"
            spans.append(token(at, gap, text, said, surprise / scale, kind))
        lines.append(f'<p dir="auto">{"".join(spans)}</p>')
    kind = " whole" if trained.vocabulary.tokenizer in SPLIT else ""
    page = CONTROLS.replace("<!-- kind -->", kind)
    return Html(page.replace("<!-- lines -->", "\n".join(lines)))


def token(number: int, gap: str, text: str, said: str, value: float, kind: str) -> str:
    """A token as a button inside the text; value: how strongly it is coloured."""
    more = f" {kind}" if kind else ""
    return (
        f'{escape(gap)}<span class="token{more}" id="t{number}" role="button" '
        f'tabindex="{-1 if number != 1 else 0}" aria-pressed="false" '
        f'aria-label="{escape(said)}" style="--v:{value:.3f}">{escape(text)}</span>'
    )


def cut_off(text: str) -> str:
    """The end of a text, from a word's beginning on where there is one."""
    if len(text) <= CONTEXT:
        return text
    end = text[-CONTEXT:]
    return f"… {end.partition(' ')[2].lstrip() or end}"


def surprising(trained: Trained, seen: Seen, units, names, base: str) -> Html:
    """The tokens of most surprisal, each a link to its place, after what was before."""
    before, text = [], ""
    for line in lines_of(trained.vocabulary, seen.pieces):
        for _, gap, shown in line:
            before.append(cut_off(f"{text}{gap}"))
            text += gap + shown
        text = f"{text} "
    order = np.argsort(-units, kind="stable")[:SURPRISING]
    items = "\n".join(
        f'<li><bdi class="before">{escape(before[at])}</bdi>'
        f'<a href="#t{at + 1}"><bdi>{escape(names[at])}</bdi></a> '
        f"<small>{digits(units[at]):g} {base}</small></li>"
        for at in order
    )
    return Html(f'<ol class="surprising">\n{items}\n</ol>')
