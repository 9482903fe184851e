"""Arrays as text inside a page: 16 bits a number, three significant digits."""

import base64
import json
import math
from typing import Any

import numpy as np

STEPS = 2_000  # of a logarithm, a decade: each 0.12 % from the next
FULL = 32_767


def logarithms(values: np.ndarray) -> dict[str, Any]:
    """{"largest", "codes"} of numbers ≥ 0 of any size: code c ≥ 1 is
    largest · 10^(−(c − 1)/STEPS), and 0 is 0, or under 1e−32 of the largest."""
    largest = float(np.max(values, initial=0))
    share = np.divide(values, largest or 1, dtype=np.float64)
    with np.errstate(divide="ignore"):
        codes = 1 - np.round(STEPS * np.log10(share))
    codes = np.where(codes < 1 << 16, codes, 0)
    return {"largest": digits(largest), "codes": _text(codes, "<u2")}


def fractions(values_TH: np.ndarray) -> dict[str, Any]:
    """{"largest" (H), "codes", a row of T a column} of activations: code c of column j
    is largest[j] · c/FULL."""
    largest_H = np.max(np.abs(values_TH), axis=0, initial=0)
    share_TH = np.divide(values_TH, np.where(largest_H > 0, largest_H, 1))
    codes_HT = np.round(share_TH.T * FULL)
    return {
        "largest": [digits(x) for x in largest_H],
        "codes": _text(codes_HT, "<i2"),
    }


def digits(value: Any) -> float:
    """A number with three significant digits; 0 for what is none."""
    value = float(value)
    return float(f"{value:.3g}") if math.isfinite(value) else 0.0


def json_in_page(value: Any) -> str:
    """JSON that can stand in a `script` element, whatever its texts are."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("&", "\\u0026")


def _text(codes: np.ndarray, kind: str) -> str:
    return base64.b64encode(codes.astype(kind).tobytes()).decode("ascii")
