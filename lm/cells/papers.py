"""Where each cell is from, and what its paper claims for it: a line each.

A claim is the paper's, not a finding of this project; its cell's file says which form
of the cell is meant, and how it differs from its cousins.
"""

from typing import NamedTuple


class Paper(NamedTuple):
    """Registered cells that one paper describes.

    cells   their names in `CELLS`.
    source  authors and year.
    claim   what the paper claims, in a few words.
    """

    cells: tuple[str, ...]
    source: str
    claim: str


def paper(cells: str, source: str, claim: str) -> Paper:
    """A Paper of cells whose names are apart by spaces."""
    return Paper(tuple(cells.split()), source, claim)


ELMAN = (
    paper("tanh relu", "Elman 1990", "structure in time can be learnt by prediction"),
    paper(
        "irnn",
        "Le, Jaitly & Hinton 2015",
        "a start at the identity makes ReLU units remember like an LSTM",
    ),
    paper(
        "orthogonal",
        "Henaff, Szlam & LeCun 2016",
        "an orthogonal start solves long memory tasks",
    ),
    paper(
        "multiplicative_rnn",
        "Sutskever, Martens & Hinton 2011",
        "an input that chooses the recurrent matrix models characters better",
    ),
    paper(
        "scrn",
        "Mikolov et al. 2014",
        "a few leaky units do on words what an LSTM does",
    ),
    paper(
        "indrnn",
        "Li et al. 2018",
        "units that see themselves alone learn over thousands of steps",
    ),
    paper(
        "exprnn",
        "Lezcano-Casado & Martínez-Rubio 2019",
        "a matrix kept orthogonal by exp copies over 1,000 steps and more",
    ),
    paper(
        "scornn",
        "Helfrich, Willmott & Ye 2018",
        "so does one kept orthogonal by Cayley's transform",
    ),
    paper(
        "antisymmetric antisymmetric_gated",
        "Chang et al. 2019",
        "imaginary eigenvalues: gradients that neither vanish nor explode",
    ),
    paper(
        "lipschitz",
        "Erichson et al. 2021",
        "stable, and robust against noise on inputs and weights",
    ),
    paper(
        "cornn",
        "Rusch & Mishra 2021",
        "coupled oscillators bound the gradient from both sides",
    ),
    paper(
        "unicornn",
        "Rusch & Mishra 2021b",
        "so do oscillators that see themselves alone, over very long sequences",
    ),
    paper(
        "lem",
        "Rusch et al. 2022",
        "learnt time steps give many time scales and bounded gradients",
    ),
    paper(
        "cfn",
        "Laurent & von Brecht 2017",
        "no chaos, and as good as an LSTM on words",
    ),
    paper(
        "minimal_rnn",
        "Chen 2017",
        "keeps up with gated cells on three matrices",
    ),
)
LSTM = (
    paper(
        "lstm",
        "Hochreiter & Schmidhuber 1997; Gers et al. 2000",
        "a memory that is added to bridges lags of over 1,000 steps",
    ),
    paper(
        "lstm_chrono gru_chrono janet_chrono",
        "Tallec & Ollivier 2018",
        "gates that start at time constants up to T_max learn lags as long",
    ),
    paper(
        "lstm_peephole lstm_nig lstm_nfg lstm_nog lstm_niaf lstm_noaf lstm_cifg "
        "lstm_coupled lstm_fgr",
        "Gers & Schmidhuber 2000; Greff et al. 2015",
        "none beats the plain cell; forget gate and output activation matter most",
    ),
    paper("lstm_capped", "Melis et al. 2018", "part of a well-tuned LSTM: |c| < 1"),
    paper(
        "lstm_projected",
        "Sak, Senior & Beaufays 2014",
        "more memory at equal parameters",
    ),
    paper(
        "layer_norm_lstm layer_norm_lstm_tf layer_norm_lstm_out",
        "Ba, Kiros & Hinton 2016",
        "fewer updates to a given loss",
    ),
    paper(
        "janet",
        "van der Westhuizen & Lasenby 2018",
        "the forget gate alone is enough",
    ),
    paper(
        "multiplicative_lstm",
        "Krause et al. 2016",
        "recovers faster from surprising characters",
    ),
    paper(
        "mogrifier",
        "Melis, Kočiský & Blunsom 2020",
        "3 to 4 points of perplexity on words below an LSTM",
    ),
    paper(
        "rhn",
        "Zilly et al. 2017",
        "perplexity falls with the depth of a step, to 10 layers",
    ),
    paper(
        "on_lstm",
        "Shen et al. 2019",
        "ordered units: trees can be read off the master forget gate",
    ),
    paper(
        "fast_slow_lstm",
        "Mujika, Meier & Steger 2017",
        "fast and slow states: better on characters than stacks",
    ),
)
GRU = (
    paper(
        "gru gru_reset_before gru_tutorial",
        "Cho et al. 2014",
        "a unit with two gates learns what to keep and what to forget",
    ),
    paper("mgu", "Zhou et al. 2016", "one gate does what a GRU's two do"),
    paper(
        "gru_minimal_1 gru_minimal_2 gru_minimal_3",
        "Dey & Salem 2017",
        "gates need not read the input",
    ),
    paper(
        "mut1 mut2 mut3",
        "Jozefowicz, Zaremba & Sutskever 2015",
        "the best of 10,000 cells; on words none beats an LSTM with b_f = 1",
    ),
    paper("ligru", "Ravanelli et al. 2018", "speech needs no reset gate"),
    paper("ran", "Lee, Levy & Zettlemoyer 2017", "weighted sums of words are enough"),
    paper("star", "Turkoglu et al. 2021", "gradients keep their size up many layers"),
    paper("atr", "Zhang et al. 2018", "two products a step translate as well"),
)
LINEAR = (
    paper(
        "min_gru min_lstm",
        "Feng et al. 2024",
        "gates that do not read the state keep up, and train in parallel",
    ),
    paper(
        "sru sru_v1", "Lei et al. 2018", "as fast as a convolution, no worse on text"
    ),
    paper(
        "qrnn", "Bradbury et al. 2017", "as good as LSTMs and up to 16 times as fast"
    ),
    paper(
        "lru",
        "Orvieto et al. 2023",
        "a linear RNN on a ring does what S4 does on long ranges",
    ),
    paper(
        "s5", "Smith et al. 2023", "one system of many inputs does what S4's many do"
    ),
    paper(
        "rg_lru",
        "De et al. 2024",
        "with local attention, Llama-2's quality at a sixth of its tokens",
    ),
    paper(
        "hgrn hgrn_real",
        "Qin et al. 2023",
        "lower bounds that rise with depth make it as good as attention",
    ),
    paper(
        "hgrn2", "Qin et al. 2024", "a wider state without more parameters beats HGRN"
    ),
    paper("slstm", "Beck et al. 2024", "mixing the memory lets it track states"),
    paper("mlstm", "Beck et al. 2024", "a matrix memory recalls more pairs"),
    paper(
        "gated_delta_net gated_delta_net_negative",
        "Yang, Kautz & Hatamizadeh 2024; Grazzi et al. 2024",
        "overwriting beats adding; eigenvalues down to −1 are what parity needs",
    ),
    paper(
        "lmu parallel_lmu",
        "Voelker, Kajić & Eliasmith 2019; Chilkuri & Eliasmith 2021",
        "a derived memory holds 100,000 steps",
    ),
)
PAPERS = {
    "Elman networks": ELMAN,
    "Long short-term memories": LSTM,
    "Gated recurrent units": GRU,
    "Linear in the state, or a matrix for one": LINEAR,
}


def family_of(cell: str) -> str:
    """The family that a registered cell stands under, "others" where it is in none."""
    for family, papers in PAPERS.items():
        if any(cell in one.cells for one in papers):
            return family
    return "others"
