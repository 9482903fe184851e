"""How a model reads: the numbers on the page, what is refused, and in a browser."""

import base64
import html
import io
import json
import math
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipeline.bpe import load_bpe, train_bpe
from data_pipeline.vocabulary import Vocabulary
from experiments.applications.language_model.pieces import pieces_of_lines
from experiments.applications.language_model.reading import Setting
from experiments.applications.language_model.scoring import score_text
from experiments.applications.lines import lines_from
from experiments.read.__main__ import main
from experiments.read.build import make_page
from experiments.read.packed import FULL, STEPS, fractions, logarithms
from experiments.read.reading import Seen, read
from experiments.read.tokens import lines_of, named, placed, text_of
from experiments.read.units import ranked
from experiments.train.trained import load_trained
from lm.gradflow.reach import Reach
from lm.losses import token_nats
from lm.score import Details
from tests.browser import rendered
from tests.tiny_run import make_run, refused
from tests.zoo import close

pytestmark = pytest.mark.usefixtures("compile_cache")
TEXT = "the cat sat .\na zebra sat on the mat ."
STRANGE = (
    'a </script><img src=x onerror="document.title=1"> & 👩‍👩‍👧 你好 שלום\u202e\x1b .'
)


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("words"))


@pytest.fixture(scope="module")
def strange(tmp_path_factory):
    """The page of STRANGE and a second line, by a model of characters, from a file."""
    folder = tmp_path_factory.mktemp("characters")
    file, run = folder / "text.txt", make_run(folder, tokenizer="characters")
    file.write_text(f"{STRANGE}\nthe cat", encoding="utf-8")
    main(["--run", str(run), "--input", str(file), "--out", str(folder / "page.html")])
    return folder / "page.html"


@pytest.fixture(scope="module")
def page(words, tmp_path_factory):
    """The page of TEXT."""
    out = tmp_path_factory.mktemp("page") / "page.html"
    main(["--run", str(words), "--text", TEXT, "--out", str(out), "--top", "3"])
    return out


class Tokens(HTMLParser):
    """The texts of the tokens on a page, their styles and labels; all tags."""

    def __init__(self, page: str):
        super().__init__()
        self.texts: list[str] = []
        self.attributes: list[dict] = []
        self.tags: set[str] = set()
        self.inside = False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.inside = "token" in (dict(attrs).get("class") or "").split()
        if self.inside:
            self.attributes.append(dict(attrs))
            self.texts.append("")

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.texts[-1] += data


def within(pattern: str, text: str) -> str:
    """What the pattern's group holds."""
    found = re.search(pattern, text, re.DOTALL)
    assert found, pattern
    return found[1]


def data_of(page) -> dict:
    return json.loads(within('id="data">(.*?)</script>', page.read_text("utf-8")))


def unpacked(packed, kind="<u2"):
    codes = np.frombuffer(base64.b64decode(packed["codes"]), kind)
    if kind == "<i2":
        rows = codes.reshape(len(packed["largest"]), -1)
        return (rows / FULL * np.array(packed["largest"])[:, None]).T
    return np.where(codes, packed["largest"] * 10 ** (-(codes - 1.0) / STEPS), 0)


def triangle(packed, count):
    found = np.zeros((count, count))
    found[np.tril_indices(count)] = unpacked(packed)
    return found


def test_the_numbers_on_the_page(words, page):
    """Surprisals are those of `score`; reach is a gradient; activations are states."""
    trained, data = load_trained(words), data_of(page)
    sentences = score_text(trained, list(lines_from(TEXT.split("\n"))))
    nats = np.concatenate([s.nats for s in sentences])
    ids = np.concatenate([s.ids for s in sentences])
    close(np.array(data["surprisal"]), nats / math.log(2), rtol=6e-3)
    close(np.array(data["chance"]), np.exp(-nats), rtol=6e-3)
    assert data["names"][1:] == [t for s in sentences for t in s.tokens]
    assert data["unknown"] == [7] and data["names"][7] == "zebra"
    model, params = trained.model, trained.params

    xs_SD = params["embedding"][np.append(0, ids)]

    def walk(x_D, s, t):
        """(−ln P of token t, outputs) with x_D in place of what step s reads."""
        xs_S1D, state = xs_SD.at[s].set(x_D)[:, None], model.initial_state(params, 1)
        _, hs = model.stack.apply(params["layers"], xs_S1D, state)
        logits = model.logits(params, hs)
        nats = token_nats(logits[:-1], jnp.asarray(ids)[:, None])
        return nats[t - 1, 0], hs[:, 0]

    slope = jax.jit(jax.grad(walk, has_aux=True))
    far = triangle(data["inputs"], len(ids))
    for s, t in ((0, 1), (3, 9), (8, 9), (0, 13)):
        gradient, hs = slope(xs_SD[s], s, t)
        assert far[t - 1, s] == pytest.approx(float(jnp.linalg.norm(gradient)), 6e-3)
    close(unpacked(data["units"]["0"], "<i2"), hs, atol=2e-3)
    assert [len(places) for places in data["guesses"]] == [3] * len(ids)
    state = triangle(data["states"]["0"], len(ids))
    assert np.all(np.diag(state) > 0) and np.all(state[-1] > 0)


@pytest.mark.parametrize("reading", ["streams", "sentences"])
def test_a_model_reads_as_it_does_in_score(reading, words, tmp_path):
    """A model of sentences starts anew at each, and where a long one is cut."""
    run = words if reading == "streams" else make_run(tmp_path, reading)
    trained, lines = (
        load_trained(run),
        list(lines_from(TEXT.replace("\n", "\n\n").split("\n"))),
    )
    seen = read(trained, lines, top=3, longest=50)
    want = np.concatenate([s.nats for s in score_text(trained, lines)])
    close(seen.details.nats_TB, want, rtol=1e-4)
    far = seen.reach.inputs_TTB
    assert len(far) == 13 and np.all(np.diag(far) > 0) and far[9, 5] > 0
    assert bool(far[6, 2]) == (reading == "streams")  # over the end of a line
    assert bool(far[10, 9]) == (reading == "streams")  # over a cut after five tokens


def test_any_text_is_shown_escaped(strange):
    text = strange.read_text(encoding="utf-8")
    found = Tokens(text)
    assert "img" not in found.tags and text.count("</script>") == 2
    assert not re.search(r"""(src|href)=["']?(https?:|//)|@import|url\(""", text)
    wanted = STRANGE.replace("\u202e", "‹U+202E›").replace("\x1b", "‹U+001B›")
    assert "".join(found.texts) == f"▸{wanted}↵the cat"
    assert "\u202e" not in text and "\x1b" not in text
    assert all(each["aria-label"] for each in found.attributes)
    assert [each["tabindex"] for each in found.attributes[:3]] == ["-1", "0", "-1"]


def test_tokens_as_they_stand_in_their_text():
    model = train_bpe(["the cat sat on the mat\n" * 9], 258 + 9)
    bpe = Vocabulary(("<eos>", "<unk>"), (0, 0), "bpe", model=model)
    assert {text_of(bpe, t) for t in load_bpe(model).split(" the你")} >= {
        " the",
        "‹E4›",
        "‹BD›",
        "‹A0›",
    }
    assert named(bpe, "Ġthe") == "␣the" and text_of(bpe, "<eos>") == "<eos>"
    raw = Vocabulary(("<eos>", "<unk>"), (0, 0), "bytes")
    assert text_of(raw, "\xe4") == "‹E4›" and text_of(raw, "a") == "a"
    plain = Vocabulary(("<eos>", "<unk>"), (0, 0), "words", lower=True)
    lines = list(lines_from(["  Don't  (stop)\u200b, soft\u00adly.", "", "x"]))
    pieces = pieces_of_lines(plain, Setting(True, 0, 0), lines, alone=False)
    shown = [[gap + text for _, gap, text in line] for line in lines_of(plain, pieces)]
    assert "".join(shown[0]) == "don't  (stop) , softly . <eos>"
    assert shown[1] == [] and shown[2] == ["x", " <eos>"]
    joined, line = Vocabulary(plain.tokens, (0, 0), "reversible"), 'say "no", 你好: x.y'
    (piece,) = pieces_of_lines(
        joined, Setting(True, 0, 0), list(lines_from([line])), alone=False
    )
    assert "".join(a + b for a, b in placed(joined, piece)) == f"{line} <eos>"
    assert named(joined, '"￭') == '"￭' and text_of(joined, '"￭') == '"'


def test_what_cannot_be_read_is_refused_in_one_line(words, tmp_path, capsys):
    other = make_run(tmp_path / "other")
    record = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(record | {"application": "gap"}))
    empty = tmp_path / "empty.txt"
    empty.write_text(" \n\n")
    for run, more, said in (
        (words, [], "give --text or --input"),
        (words, ["--text", "a", "--input", "b"], "not both"),
        (words, ["--text", "  "], "there is no text to read"),
        (words, ["--input", empty], "there is no text to read"),
        (words, ["--input", tmp_path / "none.txt"], "there is no file"),
        (words, ["--text", "a b c d", "--max_tokens", "4"], "5 tokens, over --max"),
        (words, ["--text", "a", "--top", "0"], "--top is 0"),
        (words, ["--text", "a", "--out", tmp_path], "is a directory"),
        (words, ["--text", "a", "--out", tmp_path / "no" / "x.html"], "cannot be"),
        (tmp_path / "none", ["--text", "a"], "none"),
        (other, ["--text", "a"], "'gap'"),
    ):
        assert said in refused(main, ["--run", run, *more], capsys)
    assert not list(tmp_path.glob("*.html")) and not (words / "read.html").exists()


def test_standard_input_and_the_runs_own_place(words, monkeypatch, capsys):
    stdin = io.TextIOWrapper(io.BytesIO(TEXT.encode()), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", stdin)
    main(["--run", str(words), "--input", "-", "--base", "nats", "--top", "3"])
    out = words / "read.html"
    assert capsys.readouterr().out.startswith(f"{out} (")
    data = data_of(out)
    out.unlink()
    assert data["base"] == "nats" and data["names"][:4] == [
        "start",
        "the",
        "cat",
        "sat",
    ]


def test_numbers_come_back_to_three_digits():
    values = np.concatenate([np.logspace(-25, 3, 400), [0, 1e-38]])
    close(unpacked(logarithms(values))[:-2], values[:-2], rtol=7e-4)
    assert not unpacked(logarithms(values))[-2:].any()
    assert not unpacked(logarithms(np.zeros(3))).any()
    acts = np.random.default_rng(0).normal(size=(9, 4)) * [1, 1e-3, 0, 50]
    got = unpacked(fractions(acts), "<i2")
    assert np.all(np.abs(got - acts) <= 6e-3 * np.abs(acts).max(0) + 1e-12)


def test_units_by_what_they_follow():
    lines = [["a", '"', "b", '"', "c"], ["“", "d", "”"]]
    inside = [0, 0, 1, 1, 0, 0, 1, 1, 0]
    position = [0, 1, 2, 3, 4, 5, 1, 2, 3]
    noise = np.random.default_rng(0).normal(size=9)
    layers = [np.stack([noise, np.full(9, 0.5)], 1), np.stack([inside, position], 1)]
    found = ranked(layers, lines)
    assert found["position in the line"].units[0] == (1, 1, pytest.approx(1))
    assert found["inside quotation marks"].units[0] == (1, 0, pytest.approx(1))
    assert found["how much they vary"].units[0][:2] == (1, 1)
    assert found["how much they vary"].units[-1] == (0, 1, 0)
    assert "inside quotation marks" not in ranked(layers, [["a"] * 8])


def test_a_page_of_200_tokens_and_512_units_is_small(words):
    trained, rng, count = load_trained(words), np.random.default_rng(0), 200
    lines = list(lines_from(["the cat sat on a mat ran off ."] * 20))
    vocabulary = trained.vocabulary
    pieces = pieces_of_lines(vocabulary, Setting(True, 0, 0), lines, alone=False)
    ids = np.concatenate([piece.ids for piece in pieces])
    noise = rng.random((count, 8))
    said = Details(
        noise[:, 0],
        noise[:, 1],
        rng.integers(1, 9, count),
        rng.integers(0, vocabulary.size, (count, 8)),
        -noise,
    )
    far = np.tril(rng.lognormal(-5, 5, (count, count)))
    units = {name: rng.normal(size=(count + 1, 256)) for name in "01"}
    page = make_page(
        trained,
        Seen(pieces, ids, said, Reach(far, dict.fromkeys("01", far)), units),
        Path("x"),
        "bits",
    )
    assert len(ids) == count and len(page.encode()) < 1_000_000


def test_in_a_browser_a_token_shows_where_its_loss_reaches(page):
    """The address chooses token 9: colours, words and horizon are those computed."""
    data, text = data_of(page), rendered(page, "#t9")
    far = triangle(data["inputs"], len(data["surprisal"]))[8, :9]
    state = triangle(data["states"]["0"], len(data["surprisal"]))[8, :9]
    found = Tokens(text)
    shade = [float(within(r"--v: ?([\d.]+)", a["style"])) for a in found.attributes]
    want = np.maximum(0, 1 + np.log10(far / far.max()) / 3)
    close(np.array(shade[:9]), want, atol=2e-3)
    assert not any(shade[9:])
    pressed = [a["aria-pressed"] == "true" for a in found.attributes]
    assert pressed.index(True) == 9 and sum(pressed) == 1
    horizon = max(k for k in range(9) if state[8 - k] > 0.01 * state[8])
    assert f"layer 0: horizon {horizon} of 8 steps" in text
    nearest = data["names"][int(np.argmax(far))]
    assert re.search(rf"<ol><li><bdi>“{nearest}”</bdi> <small>100 %", text)
    live = within('aria-live="polite">(.*?)</p>', text)
    assert live.startswith(f"{data['names'][9]}: ")


def test_in_a_browser_by_keyboard_and_narrow(strange, tmp_path):
    """Keys move and choose; units go round; nothing is wider than a phone; what stands
    in the text does nothing."""
    out = tmp_path / "page.html"
    script = """<script>
const seen = {}, here = () => document.activeElement;
const press = (key) => here().dispatchEvent(
  new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
tokens[1].focus(); press("ArrowRight"); press("ArrowRight"); press("ArrowLeft");
seen.moved = here().id;
press("End"); seen.end = here().id; press("ArrowUp"); seen.up = here().id;
press("Home"); seen.home = here().id; press("ArrowDown"); press("Enter");
seen.address = location.hash; seen.view = box.dataset.view;
seen.heading = document.querySelector("#reached h3").textContent;
seen.stops = tokens.filter((token) => token.tabIndex === 0).length;
press("Escape"); seen.left = box.dataset.view;
document.querySelector("input[value=unit]").click();
at("previous").click(); seen.unit = at("unit").value; at("next").click();
tokens[2].click(); seen.stays = [box.dataset.view, now.chosen];
seen.said = document.querySelector("#details .more").textContent;
seen.panel = document.querySelector("#reached h3").textContent;
seen.back = at("unit").value; at("order").value = "how much they vary";
at("order").dispatchEvent(new Event("change")); at("next").click();
seen.second = [now.layer, now.unit, at("live").textContent];
seen.tokens = tokens.length; seen.title = document.title;
seen.images = document.querySelectorAll("main img").length;
document.documentElement.style.width = "400px";  // windows are 500 wide at least
seen.wide = Math.max(...[...document.querySelectorAll("body *")].map(
  (element) => element.getBoundingClientRect().right));
document.body.append(make("pre", JSON.stringify(seen), { id: "seen" }));
</script>"""
    out.write_text(strange.read_text(encoding="utf-8") + script, encoding="utf-8")
    shown = rendered(out, width=400)
    seen = json.loads(html.unescape(within('<pre id="seen"[^>]*>(.*?)</pre>', shown)))
    order = data_of(out)["orders"]["how much they vary"]["units"]
    assert seen["moved"] == "t2" and seen["end"] == f"t{seen['tokens'] - 1}"
    assert seen["home"] == "t0" and seen["stops"] == 1
    assert int(seen["up"][1:]) < seen["tokens"] - 7  # in the line above "the cat"
    assert seen["address"].startswith("#t") and seen["view"] == "reach"
    assert seen["heading"].startswith("Where the loss of")
    assert (seen["left"], seen["unit"], seen["back"]) == ("surprisal", "5", "0")
    assert seen["stays"] == ["unit", 2] and seen["said"].startswith("unit 0 of layer 0")
    assert seen["panel"].startswith("Where the loss of")
    assert seen["second"][:2] == order[1][:2] and "2 of 6" in seen["second"][2]
    assert seen["title"] == "How run reads" and seen["images"] == 0
    assert 300 < seen["wide"] <= 400
