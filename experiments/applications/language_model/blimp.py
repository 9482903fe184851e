"""BLiMP (Warstadt et al. 2020): its categories, and what was published on it."""

from collections.abc import Sequence

from data_pipeline.minimal_pairs import MinimalPair

PARADIGMS = 67
TERM = "linguistics_term"
# The paper has 12 categories, the files 13 terms: two paradigms of "argument structure"
# go by a name of their own.
CATEGORIES = {"s-selection": "argument_structure"}
MODELS = ("5-gram", "LSTM", "GPT-2")
# Accuracies by category, "" being all pairs: means over the paradigms of the authors'
# summary of results (github.com/alexwarstadt/blimp, models_summary.jsonl). The LSTM is
# that of Gulordava et al. 2018, on 90 million words; the 5-gram saw 3.07 billion.
_ACCURACIES = {
    "": (0.612, 0.698, 0.830),
    "anaphor_agreement": (0.479, 0.917, 0.993),
    "argument_structure": (0.719, 0.732, 0.818),
    "binding": (0.644, 0.735, 0.809),
    "control_raising": (0.685, 0.670, 0.819),
    "determiner_noun_agreement": (0.701, 0.854, 0.958),
    "ellipsis": (0.369, 0.676, 0.894),
    "filler_gap_dependency": (0.602, 0.739, 0.813),
    "irregular_forms": (0.795, 0.891, 0.919),
    "island_effects": (0.572, 0.466, 0.727),
    "npi_licensing": (0.455, 0.517, 0.768),
    "quantifiers": (0.535, 0.645, 0.790),
    "subject_verb_agreement": (0.603, 0.801, 0.864),
}
PUBLISHED = {
    name: dict(zip(MODELS, found, strict=True)) for name, found in _ACCURACIES.items()
}


def is_blimp(pairs: Sequence[MinimalPair]) -> bool:
    """Whether these are pairs of all of its paradigms."""
    return len({pair.groups.get("UID") for pair in pairs}) == PARADIGMS


def category(pair: MinimalPair, column: str) -> str:
    """What a pair of BLiMP has in a column, terms by the paper's names."""
    value = pair.groups.get(column, "")
    return CATEGORIES.get(value, value) if column == TERM else value
