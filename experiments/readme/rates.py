"""The README's tables of what things cost: steps, devices, instruments, data."""

from collections.abc import Callable, Sequence
from typing import Any

from experiments.readme.markdown import markdown
from experiments.results.rows import Row, machine


def speed(rows: dict[str, Row]) -> str:
    """Training steps against their twins, interleaved."""
    head = ("model", "ms a step", "plain scan", "Flax `nnx.RNN`", "tokens/s, best")
    return by_model(
        rows,
        "benchmark_steps",
        head,
        lambda found: (
            f"{found['ours']['median']:.0f}",
            f"{found['plain_scan_over_ours']:.2f}×",
            f"{found['flax_over_ours']:.2f}×",
            f"{found['tokens_per_second']:,}",
        ),
    )


def devices(rows: dict[str, Row]) -> str:
    """One step on one CPU device, on two, and by two processes."""
    two = "two, `--train.devices 2`"
    return by_model(
        rows,
        "benchmark_devices",
        ("ms a step", "one device", two, "gain", "two processes"),
        lambda found: (
            f"{found['1_device']['median']:.0f}",
            f"{found['2_devices']['median']:.0f}",
            f"{found['2_devices_speedup']:.2f}×",
            f"{found['2_processes']['median']:.0f}",
        ),
    )


def probe(rows: dict[str, Row]) -> str:
    """What probing costs at its default interval."""
    head = ("config", "ms a step", "ms a probe", "steps between", "share of the time")
    return by_model(
        rows,
        "benchmark_probe",
        head,
        lambda found: (
            f"{found['step']['median']:.0f}",
            f"{found['probe']['median']:.0f}",
            f"{found['every']}",
            f"{found['share']:.1%}",
        ),
    )


def by_model(
    rows: dict[str, Row],
    name: str,
    head: Sequence[str],
    told: Callable[[dict[str, Any]], tuple[str, ...]],
) -> str:
    """A line for each model that a row has metrics of."""
    lines = [
        (model.replace("_", " "), *told(found))
        for model, found in metrics(rows, name).items()
    ]
    return markdown(head, lines)


def instruments(rows: dict[str, Row]) -> str:
    """Seconds of each instrument of `lm.gradflow`."""
    found = metrics(rows, "benchmark_instruments").get("seconds", {})
    lines = [(name, f"{seconds['median']:.2f}") for name, seconds in found.items()]
    return markdown(("instrument", "seconds"), lines)


def data(rows: dict[str, Row]) -> str:
    """How fast text becomes ids, and windows are read back."""
    lines = []
    for name, row in rows.items():
        if name.startswith("data_rates_"):
            found = row["metrics"]
            lines.append(
                (
                    found["tokenizer"],
                    f"{found['megabytes']:,.0f} MB, {found['tokens'] / 1e6:,.0f} M",
                    f"{found['megabytes_per_second']:.1f} MB/s",
                    f"{found['peak_memory_megabytes']:,.0f} MB",
                    f"{found['windows_tokens_per_second'] / 1e6:,.0f} M tokens/s",
                    f"{machine(row)}",
                )
            )
    head = ("tokens", "text", "prepared", "peak memory", "read back", "on")
    return markdown(head, lines)


def metrics(rows: dict[str, Row], name: str) -> dict[str, Any]:
    """A row's metrics; {} where it was not measured yet."""
    return rows[name]["metrics"] if name in rows else {}
