"""Cells that become one another when a part is forced, and what their papers prove."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from lm.cells import make_cell
from lm.cells.constrained import exprnn, scornn
from lm.cells.gru_kin import mut
from lm.cells.mogrifier import mogrifier
from lm.cells.on_lstm import distance, on_lstm
from lm.cells.rhn import rhn
from lm.config import InitConfig
from tests import zoo
from tests.zoo import B, D, H, close

pytestmark = pytest.mark.usefixtures("strict", "x64")
RNG = np.random.default_rng(4)
XS = RNG.normal(size=(3, B, D))
BIG = 100.0  # σ(±BIG) is 1 or 0 in double precision


def params_of(name):
    """Random parameters, in double precision, to be changed."""
    params = zoo.window(name)[0].params
    return {k: np.array(v, np.float64) for k, v in params.items()}


def outputs(cell, params, xs=XS):
    """hs of a few steps, from a state that is not 0."""
    cell = zoo.cell_of(cell) if isinstance(cell, str) else cell
    state = cell.initial_state(params, B)
    state = jax.tree.map(lambda s: s + 0.3, state)
    zs, hs = cell.project(params, xs), []
    for t in range(len(xs)):
        state = cell.step(params, state, zs[t])
        hs.append(np.asarray(cell.output(state)))
    return np.stack(hs)


def blocks(p, leaf, number):
    return np.split(p[leaf], number, axis=-1)


def zeroed(*names):
    """Parameters of these names at 0, or not there at all."""

    def change(p):
        return {k: 0 * v if k in names else v for k, v in p.items()}

    return change


def without(*names):
    def change(p):
        return {k: v for k, v in p.items() if k not in names}

    return change


PEEPS = ("p_i", "p_f", "p_o")


def gate_at(value, block):
    """An LSTM's parameters whose gate `block` is σ(value), whatever it reads."""

    def change(p):
        p = {k: v.copy() for k, v in p.items()}
        for leaf in ("w_x", "w_h", "b"):
            p[leaf][..., block * H : (block + 1) * H] = value if leaf == "b" else 0
        p[PEEPS[{0: 0, 1: 1, 3: 2}[block]]] *= 0
        return p

    return change


def less(block):
    """Without one of four blocks, and its peephole."""

    def change(p):
        keep = [n for n in range(4) if n != block]
        cut = {}
        for leaf in ("w_x", "w_h", "b"):
            parts = blocks(p, leaf, 4)
            cut[leaf] = np.concatenate([parts[n] for n in keep], -1)
        return without(PEEPS[{0: 0, 1: 1, 3: 2}[block]])(p) | cut

    return change


def uncoupled(p):
    """i, g, o with f = 1 − i as i, f, g, o: σ(−a) = 1 − σ(a)."""

    def four(leaf):
        i, g, o = blocks(p, leaf, 3)
        return np.concatenate([i, -i, g, o], -1)

    return p | {k: four(k) for k in ("w_x", "w_h", "b")}


def swapped(p):
    """MUT2's z, r, n, z letting the new in, as r, z, n of a GRU whose z keeps."""

    def turned(leaf):
        z, r, n = blocks(p, leaf, 3)
        return np.concatenate([r, -z, n], -1)

    return {k: turned(k) for k in ("w_x", "w_h", "b")}


def doubled(p):
    """MGU's f, n as r, z, n of a GRU with r = f, z = 1 − f."""

    def three(leaf):
        f, n = blocks(p, leaf, 2)
        return np.concatenate([f, -f, n], -1)

    return {k: three(k) for k in ("w_x", "w_h", "b")}


def full(p):
    """A minimal GRU's parameters as the whole one's: gates that read what they do."""
    zeros = np.zeros((D, 2 * H))
    w_h, b_rz = p["w_h"], p.get("b_rz", np.zeros(2 * H))
    w_h = (
        w_h if w_h.shape[1] == 3 * H else np.concatenate([np.zeros((H, 2 * H)), w_h], 1)
    )
    return {
        "w_x": np.concatenate([zeros, p["w_x"]], 1),
        "w_h": w_h,
        "b": np.concatenate([b_rz, p["b"]]),
    }


def same(p):
    return p


ONE = {  # name: (a cell, how its parameters are changed, another cell, how from those)
    "no peepholes": ("lstm_peephole", zeroed(*PEEPS), "lstm", without(*PEEPS)),
    "no input gate": ("lstm_peephole", gate_at(BIG, 0), "lstm_nig", less(0)),
    "no forget gate": ("lstm_peephole", gate_at(BIG, 1), "lstm_nfg", less(1)),
    "no output gate": ("lstm_peephole", gate_at(BIG, 3), "lstm_nog", less(3)),
    "coupled": ("lstm_cifg", zeroed(*PEEPS), "lstm_coupled", without(*PEEPS)),
    "uncoupled": ("lstm_coupled", same, "lstm", uncoupled),
    "gates unread": ("lstm_fgr", zeroed("w_g"), "lstm_peephole", without("w_g")),
    "no rounds": (
        "mogrifier",
        zeroed(*(f"q_{n}" for n in range(1, 6))),
        "lstm",
        without(*(f"q_{n}" for n in range(1, 6))),
    ),
    "MGU": ("mgu", same, "gru_reset_before", doubled),
    "minimal 1": ("gru_minimal_1", same, "gru_reset_before", full),
    "minimal 2": ("gru_minimal_2", same, "gru_reset_before", full),
    "minimal 3": ("gru_minimal_3", same, "gru_reset_before", full),
    "MUT2": ("mut2", same, "gru_reset_before", swapped),
    "diagonal": (
        "indrnn",
        same,
        "relu",
        lambda p: without("u")(p) | {"w_h": np.diag(p["u"])},
    ),
}


@pytest.mark.parametrize("case", ONE)
def test_one_cell_is_another(case):
    one, change, other, translate = ONE[case]
    params = change(params_of(one))
    close(outputs(one, params), outputs(other, translate(params)), rtol=1e-9)


def test_a_capped_input_gate_that_is_open_is_a_coupled_one():
    """min(1 − f, i) with i = 1 is 1 − f, i of the coupled cell."""
    p = params_of("lstm")
    p["b"][:H] = BIG
    p["w_x"][:, :H] = p["w_h"][:, :H] = 0

    def three(leaf):
        _, f, g, o = blocks(p, leaf, 4)
        return np.concatenate([-f, g, o], -1)

    coupled = {k: three(k) for k in ("w_x", "w_h", "b")}
    close(outputs("lstm_capped", p), outputs("lstm_coupled", coupled), rtol=1e-9)


@pytest.mark.parametrize(
    "one, other", [("multiplicative_rnn", "tanh"), ("multiplicative_lstm", "lstm")]
)
def test_a_factor_of_one_gives_the_plain_cell(one, other):
    """m = h where x·W_m is 1 and U_m is I."""
    p, xs = params_of(one), XS.copy()
    xs[..., 0] = 1
    p["w_x"][:, :H], p["w_m"] = 0, np.eye(H)
    p["w_x"][0, :H] = 1
    plain = {"w_x": p["w_x"][:, H:], "w_h": p["w_h"], "b": p["b"]}
    close(outputs(one, p, xs), outputs(other, plain, xs), rtol=1e-9)


def test_ranks_and_bare_inputs():
    """A low rank that is whole; x itself where D = H is x times I."""
    whole, low = params_of("mogrifier"), mogrifier(H, InitConfig(), rank=D)
    split = dict(whole)
    for n in range(1, 6):
        q = whole[f"q_{n}"]
        wide = q.shape[1] == D
        split[f"q_{n}"] = q if wide else np.eye(D)
        split[f"p_{n}"] = np.eye(D) if wide else q
    close(outputs(low, split), outputs("mogrifier", whole), rtol=1e-9)
    for variant, at in ((1, 2), (2, 1)):
        cell = mut(H, InitConfig(), variant=variant)
        params = cell.init(jax.random.key(0), H)
        columns = np.split(np.asarray(params["w_x"]), 2, axis=1)
        columns.insert(at, np.eye(H))
        spelt = params | {"w_x": np.concatenate(columns, 1)}
        xs = XS[..., :H]
        assert params["w_x"].shape == (H, 2 * H)
        close(outputs(cell, params, xs), outputs(cell, spelt, xs), rtol=1e-9)
        ids = np.arange(3 * B).reshape(3, B) % H
        by_id = outputs(cell, params, ids)
        close(by_id, outputs(cell, params, np.eye(H)[ids]), rtol=1e-9)


@pytest.mark.parametrize("make", [exprnn, scornn])
def test_a_constrained_matrix_is_orthogonal_whatever_its_parameters(make):
    n = 8
    cell = make(n, InitConfig())
    params = cell.init(jax.random.key(1), 2)
    assert cell.w_HG
    for a in (params["a"], RNG.normal(size=(n, n))):
        w = np.asarray(cell.w_HG(params | {"a": a}))
        close(w @ w.T, np.eye(n), atol=1e-12)
    A = np.triu(a, 1) - np.triu(a, 1).T
    if make is exprnn:
        close(w, scipy.linalg.expm(A), rtol=1e-9)
    zero = cell.w_HG(params | {"a": np.zeros((n, n))})
    signs = np.repeat([-1.0, 1.0], n // 2) if make is scornn else np.ones(n)
    close(zero, np.diag(signs))


def test_the_eigenvalues_of_an_antisymmetric_matrix_are_those_of_its_damping():
    w_HG = zoo.cell_of("antisymmetric").w_HG
    assert w_HG
    w = w_HG(params_of("antisymmetric"))
    close(np.linalg.eigvals(w).real, np.full(H, -0.01), rtol=1e-9)


def test_a_chaos_free_network_forgets_without_input():
    cell, params = zoo.cell_of("cfn"), params_of("cfn")
    params["w_x"][:, 2 * H :] = 0
    sizes = np.abs(outputs(cell, params, np.tile(XS, (20, 1, 1))))
    assert np.all(np.diff(sizes, axis=0) <= 0) and sizes[-1].max() < 0.1


def test_slow_units_leak_by_alpha():
    params = zeroed("w_x")(params_of("scrn"))
    slow = outputs("scrn", params)[..., -1]
    close(slow, 0.3 * 0.95 ** np.arange(1, 4)[:, None] * np.ones((3, B)), rtol=1e-9)


def test_layer_norm_does_not_see_the_size_of_the_weights():
    for name in ("layer_norm_lstm", "layer_norm_lstm_tf"):
        p = params_of(name)
        larger = p | {k: 1e3 * p[k] for k in ("w_x", "w_h")}
        close(outputs(name, larger), outputs(name, p), atol=1e-3)


def test_ordered_neurons():
    """One chunk: f̃ = 1 and ĩ = 0, so the memory stays. Distances are shares."""
    one = on_lstm(H, InitConfig(), chunk=H)
    params = one.init(jax.random.key(0), D)
    state = one.initial_state(params, B)._replace(c=jnp.full((B, H), 0.7))
    assert one.gates
    z = one.project(params, XS[0])
    close(one.step(params, state, z).c, state.c)
    close(distance(one.gates(params, state, z)), np.zeros(B), atol=1e-12)
    cell, params = zoo.cell_of("on_lstm"), params_of("on_lstm")
    assert cell.gates
    found = cell.gates(params, state, cell.project(params, XS[0]))
    far = np.asarray(distance(found))
    assert far.shape == (B,) and np.all(0 <= far) and np.all(far < 1)


@pytest.mark.parametrize("name", ["lstm", "gru", "janet"])
def test_chrono_biases_span_the_times(name):
    """1/(1 − σ(b_f)) = 1 + u, u ~ U(1, T_max − 1)."""
    cell = make_cell(f"{name}_chrono", 400)
    b = np.asarray(cell.init(jax.random.key(0), 2)["b"]).reshape(-1, 400)
    forget = b[{"lstm": 1, "gru": 1, "janet": 0}[name]]
    u = np.exp(forget)
    assert 1 <= u.min() < 5 and 190 < u.max() <= 199
    assert np.mean(u) == pytest.approx(100, rel=0.1)
    if name == "lstm":
        close(b[0], -forget)
        assert not b[2:].any()
    assert "b" not in make_cell(f"{name}_chrono", 4, bias=False).init(
        jax.random.key(0), 2
    )


@pytest.mark.parametrize("depth", [1, 3])
def test_highways_that_do_not_transform_carry(depth):
    """t = 0 at every layer: the state passes through all of them."""
    cell = rhn(H, InitConfig(), depth=depth, transform_bias=-BIG)
    close(outputs(cell, cell.init(jax.random.key(0), D)), np.full((3, B, H), 0.3))
