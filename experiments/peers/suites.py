"""Which language models are compared, by suite."""

import dataclasses
from collections.abc import Callable
from functools import partial

from experiments.config import load_named
from experiments.peers.case import READINGS, Case, in_bfloat16
from lm.cells import make_cell
from lm.config import DropoutConfig, ModelConfig, OptimConfig

CELLS = ("lstm", "gru", "tanh")
WORDS = 16  # of a model that is nearly all recurrence


def lm_cases() -> dict[str, Case]:
    """name: case, of whole language models; LSTMs."""
    cases = {}
    for size in ("small", "medium", "large"):
        config = load_named(f"zaremba_{size}")
        data, model = config.data, config.model
        model = dataclasses.replace(model, dropout=DropoutConfig())
        cases[f"zaremba_{size}"] = Case(
            10_000, data.window, data.batch, model, config.optim
        )
    for hidden in (128, 512):
        model = ModelConfig(layers=2, hidden=hidden, embedding=0)
        cases[f"characters_2x{hidden}"] = Case(65, 50, 50, model, OptimConfig())
    sgd = OptimConfig("sgd", 0.005, reduction="time_sum", clip="none")
    part2 = ModelConfig(hidden=100, embedding=0)
    part4 = ModelConfig(layers=2, hidden=128, embedding=128)
    cases["tutorial_part2"] = Case(8_000, 20, 1, part2, sgd)
    cases["tutorial_part4"] = Case(8_000, 20, 1, part4, sgd)
    return cases


def recurrence_cases() -> dict[str, Case]:
    """name: case, (H, B, T) of DeepBench (Narang 2017) and FlashRNN (Pöppel 2024: one
    head of 768); LSTMs."""
    shapes = {
        "deepbench_512": (512, 16, 25),
        "deepbench_1024": (1024, 16, 25),
        "deepbench_1536": (1536, 8, 50),
        "deepbench_256": (256, 16, 150),
        "flashrnn_768": (768, 16, 1024),
    }
    optim = OptimConfig("sgd", 0.1)
    return {
        name: Case(WORDS, T, B, ModelConfig(hidden=H, embedding=H), optim)
        for name, (H, B, T) in shapes.items()
    }


def bfloat16_cases() -> dict[str, Case]:
    """name: case, of the language models with products in bfloat16; LSTMs."""
    return {name: in_bfloat16(case) for name, case in lm_cases().items()}


def score_cases() -> dict[str, Case]:
    """name: case, of the language models that read a window; LSTMs."""
    return {name: case._replace(does="read") for name, case in lm_cases().items()}


def generate_cases() -> dict[str, Case]:
    """name: case, of a small character model that writes one text, and 64; LSTMs."""
    model = ModelConfig(hidden=128, embedding=0)
    return {
        f"characters_1x128_{texts}": Case(
            65, tokens, lanes, model, OptimConfig(), "write"
        )
        for texts, lanes, tokens in (("1_text", 1, 2_000), ("64_texts", 64, 500))
    }


def gradflow_cases() -> dict[str, Case]:
    """name: case, of models of `lm` whose states' gradients are asked for; LSTMs."""
    names = ("zaremba_small", "characters_2x128", "characters_2x512")
    return {name: lm_cases()[name]._replace(does="trace") for name in names}


def data_cases() -> dict[str, Case]:
    """name: case, of a text's batches, windows of Zaremba's sizes and sentences."""
    given = ModelConfig(), OptimConfig()
    small, large = Case(10_000, 20, 20, *given), Case(10_000, 35, 64, *given)
    return {
        "windows 20x20": small._replace(does="windows"),
        "windows 64x35": large._replace(does="windows"),
        "sentences 20": small._replace(does="sentences"),
        "sentences 64": large._replace(does="sentences"),
    }


def of_each_cell(cases: Callable[[], dict[str, Case]]) -> dict[str, Case]:
    """name and cell: the case with it."""
    return {
        f"{name} {cell}": case._replace(
            model=dataclasses.replace(case.model, cell=cell)
        )
        for name, case in cases().items()
        for cell in CELLS
    }


OF_LSTMS = {
    "lm": lm_cases,
    "bfloat16": bfloat16_cases,
    "recurrence": recurrence_cases,
    "score": score_cases,
    "generate": generate_cases,
    "gradflow": gradflow_cases,
}
# As in `experiments.peers.SUITES`.
CASES: dict[str, Callable[[], dict[str, Case]]] = {
    **{name: partial(of_each_cell, cases) for name, cases in OF_LSTMS.items()},
    "data": data_cases,
}
# Operations a weight and token, two a product.
OPERATIONS = {"train": 6.0, "read": 2.0, "write": 2.0, "trace": 4.0}


def flop(case: Case) -> float:
    """Floating-point operations of a case's products, forward and where they are asked
    for backward; a one-hot layer looks rows up and has none, nor have batches."""
    if case.does in READINGS:
        return 0.0
    blocks = {name: len(make_cell(name, 4).blocks) for name in CELLS}[case.model.cell]
    weights = case.model.hidden * case.vocabulary
    for number, (d_in, hidden) in enumerate(case.widths):
        looked_up = number == 0 and not case.model.embedding
        weights += blocks * hidden * (hidden + (0 if looked_up else d_in))
    return OPERATIONS[case.does] * weights * case.steps * case.lanes
