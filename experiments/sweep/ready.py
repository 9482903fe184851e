"""The ready spaces, by name; light, since `--help` lists them."""

from pathlib import Path

SPACES = Path(__file__).parents[1] / "spaces"
KINDS = (".py", ".json")


def ready_spaces() -> dict[str, Path]:
    """The files of `experiments/spaces/` by name."""
    files = sorted(SPACES.iterdir())
    return {p.stem: p for p in files if p.suffix in KINDS and p.stem[0] not in "_."}
