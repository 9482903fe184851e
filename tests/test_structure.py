"""What is around cells: windows are one long sequence, padding is not there, resets
begin anew; values against NumPy, gradients against a plain loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm.layers import backward
from lm.problem import taps_of
from lm.recording import record
from lm.structure.highway import highway
from lm.structure.normed import normed
from lm.truncation import truncated
from lm.types import Context
from tests.structures import HARD, INIT, LAYERS, PLAIN, B, H, T, made, numbers, one
from tests.zoo import close

pytestmark = pytest.mark.usefixtures("strict")
each = pytest.mark.parametrize("name", LAYERS)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def standard(x):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def plain(layer, params, xs):
    """ys of a layer from its initial state."""
    begin = layer.initial_state(params, B)
    return np.asarray(jax.jit(layer.apply)(params, xs, begin)[1])


def drawn(layer):
    """Parameters, all of them off the numbers that they start at."""
    params = layer.init(jax.random.key(1), H)
    return jax.tree.map(lambda x: np.asarray(x) + 0.1 * numbers(*x.shape), params)


@each
def test_a_window_is_its_steps_and_goes_on_from_the_one_before(name):
    """Values, the state after it, and gradients in parameters, inputs and the state
    before it; lanes with holes, padding and resets."""
    layer, params, state, _, run, twin = made(name)
    taps = taps_of(layer.parts, params, T, B)
    given = (params, state, HARD.xs, taps, HARD.mask, HARD.reset)
    (got, grads), (want, twins) = run(*given), twin(*given)
    close(got, want, rtol=1e-4, atol=1e-5)
    close(grads[:3], twins[:3], rtol=1e-3, atol=1e-4)
    assert not np.any(np.asarray(grads[2])[HARD.mask == 0])
    begin = layer.initial_state(params, B)
    (fresh, _), _ = run(params, begin, HARD.xs, taps, HARD.mask, HARD.reset)
    assert np.abs(got[0] - fresh)[0].max() > 1e-4


@each
def test_a_tap_moves_its_lane_from_its_step_on(name):
    layer, params, state, _, run, _ = made(name)
    zero = taps_of(layer.parts, params, T, B)

    def outputs(taps):
        return run(params, state, HARD.xs, taps, HARD.mask, HARD.reset)[0][0]

    for part in layer.parts:
        lifted = jax.tree.map(
            lambda x: x.at[3, 0].set(0.3 * np.arange(x.shape[-1], dtype=np.float32)),
            zero[part.name],
        )
        moved = (
            np.abs(outputs({**zero, part.name: lifted}) - outputs(zero)).max(-1) > 1e-6
        )
        assert not moved[:, 1:].any() and not moved[:3, 0].any(), part.name
        assert moved[3, 0], part.name


def test_a_highway_chooses_between_a_layer_and_its_input():
    layer = highway(one(), INIT)
    params = drawn(layer)
    gate = params["gate"]
    t = sigmoid(PLAIN.xs @ gate["w"] + gate["b"])
    want = t * plain(one(), params["layer"], PLAIN.xs) + (1 - t) * PLAIN.xs
    ys = plain(layer, params, PLAIN.xs)
    close(ys, want)
    begin = layer.initial_state(params, B)
    stepped = layer.step(params, begin, PLAIN.xs[0])  # type: ignore[misc]
    close(stepped[1], ys[0])
    assert np.all(layer.init(jax.random.key(0), H)["gate"]["b"] == -2)


def test_normed_outputs():
    layer = normed(one())
    params = drawn(layer)
    hs = standard(plain(one(), params["layer"], PLAIN.xs))
    want = params["norm"]["gain"] * hs + params["norm"]["bias"]
    close(plain(layer, params, PLAIN.xs), want, rtol=1e-4, atol=1e-5)


def fed(params, xs, gated):
    up = xs @ params["up"]["w_x"] + params["up"]["b"]
    gate = xs @ params["gate"]["w_x"] + params["gate"]["b"] if gated else up
    inner = gelu(gate) * up if gated else gelu(up)
    return inner @ params["down"]["w_x"] + params["down"]["b"]


@pytest.mark.slow
def test_a_prenorm_block_adds_what_mixes_steps_and_then_what_mixes_units():
    _, params, _, ys, *_ = made("prenorm block")
    own, xs = params["layer"], np.asarray(PLAIN.xs @ params["enter"]["w_x"])
    mixed = xs + plain(one("gru"), own["mix"]["layer"], standard(xs))
    want = mixed + fed(own["feed"]["layer"], standard(mixed), True)
    close(ys, want, rtol=1e-4, atol=1e-5)


def convolved(params, us):
    """Σ_k w_k ⊙ u_{t−k} + b of 4 taps."""
    zs = np.zeros_like(us) + params["b"]
    for t in range(T):
        for k in range(min(4, t + 1)):
            zs[t] += params["w"][k] * us[t - k]
    return zs


@pytest.mark.slow
def test_a_gated_block_convolves_and_gates():
    _, params, _, ys, *_ = made("gated block")
    zs = convolved(params["conv"], PLAIN.xs @ params["up"]["w_x"])
    zs = zs * sigmoid(zs)
    gate = np.asarray(PLAIN.xs @ params["gate"]["w_x"])
    hs = plain(one(units=6), params["layer"], jnp.asarray(zs))
    close(ys, (hs * gate * sigmoid(gate)) @ params["down"]["w_x"], rtol=1e-4, atol=1e-5)


def root_mean_square(x):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6)


@pytest.mark.slow
def test_a_hawk_block_is_griffins_recurrent_block():
    """De et al. 2024, figure 2; equations 1 to 4 by a loop over steps."""
    _, params, _, ys, *_ = made("hawk")
    own = params["mix"]["layer"]
    us = root_mean_square(PLAIN.xs)
    cs = convolved(own["conv"], us @ own["up"]["w_x"] + own["up"]["b"])
    unit, h, hs = own["layer"], np.zeros((B, 6)), []
    blocks = {n: np.kron(np.eye(2), np.ones((3, 3))) for n in "ri"}
    for n, whole in blocks.items():
        for head in range(2):
            at = slice(3 * head, 3 * head + 3)
            whole[at, at] = unit[f"w_{n}"][head]
    for c in cs:
        r, i = (sigmoid(c @ blocks[n] + unit[f"b_{n}"]) for n in "ri")
        a = np.exp(-8 * r * np.log1p(np.exp(unit["decay"])))
        h = a * h + np.sqrt(1 - a * a) * i * c
        hs.append(h)
    gate = gelu(us @ own["gate"]["w_x"] + own["gate"]["b"])
    mixed = PLAIN.xs + (hs * gate) @ own["down"]["w_x"] + own["down"]["b"]
    fed_on = fed(params["feed"]["layer"], root_mean_square(mixed), True)
    close(ys, mixed + fed_on, rtol=1e-4, atol=1e-5)
    assert "w_x" not in unit


def test_a_dilated_layer_is_d_layers_that_each_read_every_dth_step():
    layer, params, state, ys, *_ = made("dilated")
    for phase in range(3):
        close(ys[phase::3], plain(one(), params, PLAIN.xs[phase::3]), atol=1e-5)
    close(jnp.swapaxes(state.h, 0, 1), ys[-3:])


@pytest.mark.slow
def test_a_clockwork_of_tanh_cells_is_koutniks_network():
    """h = tanh(x·W + h·U + b) with U block lower triangular, the rows of the slower
    groups in the columns of the faster; a group moves where its period divides t."""
    layer, params, _, ys, *_ = made("clockwork")
    W, U, b = np.zeros((H, 6)), np.zeros((6, 6)), np.zeros(6)
    for n, own in enumerate(params):
        here = slice(2 * n, 2 * n + 2)
        w_x = np.asarray(own["w_x"])
        W[:, here], b[here], U[here, here] = w_x[:H], own["b"], own["w_h"]
        for k, slower in enumerate(range(2, n, -1)):  # in the order that they are read
            rows = w_x[H + 2 * k : H + 2 * k + 2]
            U[2 * slower : 2 * slower + 2, here] = rows
    h = np.zeros((B, 6))
    for t in range(T):
        new = np.tanh(PLAIN.xs[t] @ W + h @ U + b)
        due = np.repeat([t % 2**n == 0 for n in range(3)], 2)
        h = np.where(due, new, h)
        close(ys[t], h, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_attention_over_past_outputs():
    """W = 3 places before each step, by a loop over pairs."""
    _, params, _, ys, *_ = made("attentive")
    hs = plain(one(), params["layer"], PLAIN.xs)
    for t in range(T):
        past = hs[max(0, t - 3) : t]
        found = np.zeros((B, H))
        if t:
            keys = past @ np.asarray(params["attention"]["w"])
            scores = np.einsum("bh,sbh->bs", hs[t], keys)
            found = np.einsum("bs,sbh->bh", softmax(scores), past)
        want = np.tanh(np.concatenate([found, hs[t]], -1) @ params["w_y"])
        close(ys[t], want, rtol=1e-4, atol=1e-5)


def rotated(x, t):
    """A head of d units at step t, as d/2 complex numbers."""
    half = len(x) // 2
    speeds = 10_000.0 ** (-2 * np.arange(half) / len(x))
    return (x[:half] + 1j * x[half:]) * np.exp(1j * t * speeds)


@pytest.mark.slow
def test_a_transformer_block_by_loops_over_heads_and_pairs():
    _, params, _, ys, *_ = made("transformer")
    mix = params["mix"]["layer"]
    zs = standard(PLAIN.xs) @ mix["w_x"] + mix["b"]
    q, k, v = (np.asarray(z) for z in np.split(zs, 3, axis=-1))
    found = np.zeros((T, B, H))
    for t, b, head in np.ndindex(T, B, 2):
        d = slice(2 * head, 2 * head + 2)
        past = range(max(0, t - 3), t + 1)
        at = rotated(q[t, b, d], t)
        scores = [np.real(np.conj(rotated(k[s, b, d], s)) * at).sum() for s in past]
        shares = softmax(np.array(scores) / np.sqrt(2))
        found[t, b, d] = shares @ v[list(past), b, d]
    mixed = PLAIN.xs + found @ mix["w_o"] + mix["b_o"]
    want = mixed + fed(params["feed"]["layer"], standard(mixed), False)
    close(ys, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["dilated", "transformer"])
def test_from_the_right_it_is_the_mirrored_sequence(name):
    """With a mask, whose padding is read first; what is recorded is in its order."""
    layer, params, *_ = made(name)
    lengths = np.array([7, 4, 1])
    mask = (np.arange(T)[:, None] < lengths[None]).astype(np.float32)
    state = layer.initial_state(params, B)

    @jax.jit
    def run(params, mask):
        turned = backward(layer)
        context = Context(mask_TB=mask)
        kept = record(turned.apply, params, PLAIN.xs, state, context)
        return turned.apply(params, PLAIN.xs, state, context)[1], kept

    ys, kept = run(params, mask)
    there = jax.jit(layer.apply)
    for lane, n in enumerate(lengths):
        cut = np.zeros_like(PLAIN.xs)
        cut[:n] = PLAIN.xs[:n][::-1]
        _, want = there(params, cut, state)
        close(ys[:n, lane], want[:n, lane][::-1], rtol=1e-4, atol=1e-5)
    (part,) = kept.values()
    if name == "dilated":
        close(part.after.h * mask[..., None], ys * mask[..., None], atol=1e-5)
    else:
        close(part.before.k[0, 0], part.after.k[1, 0])  # what it read before it


def test_gradients_of_a_dilated_layer_reach_every_dth_step_alone():
    layer, params, state, _, run, _ = made("dilated")
    taps = taps_of(layer.parts, params, T, B)

    @jax.jit
    @jax.grad
    def gradient(taps):
        begin = layer.initial_state(params, B)
        return jnp.sum(layer.apply(params, PLAIN.xs, begin, Context(taps=taps))[1][-1])

    norms = np.abs(gradient(taps)[""].h).max((1, 2))
    assert (norms > 0).tolist() == [(T - 1 - t) % 3 == 0 for t in range(T)]


@pytest.mark.slow
def test_truncation_counts_steps_of_layers_that_carry_more_than_states():
    """With τ ≥ T − 1 the gradient is the whole one; with less it is another."""
    layer, params, state, *_ = made("dilated")
    waves = numbers(T, B, H)

    def gradient(layer):
        def loss(params):
            return jnp.sum(waves * layer.apply(params, PLAIN.xs, state)[1])

        return jax.jit(jax.grad(loss))(params)

    layers = layer, truncated(layer, 9), truncated(layer, 2)
    whole, same, less = (gradient(each) for each in layers)
    close(same, whole, rtol=1e-4, atol=1e-5)
    assert np.abs(less["w_h"] - whole["w_h"]).max() > 1e-3
