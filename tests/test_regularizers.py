"""Ω: the paper's formula by brute force, its gradient by finite differences."""

from dataclasses import replace
from functools import cache, partial
from types import SimpleNamespace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm.cells.forms import draw_gates, general, zeros
from lm.config import ConfigError, InitConfig, ModelConfig, OptimConfig
from lm.dropout import rates_of
from lm.heads import classification
from lm.losses import cross_entropy
from lm.models.labelling import build_labelling
from lm.models.language_model import build
from lm.parallel import make_shared_train_step
from lm.problem import taps_of
from lm.recording import Recorded
from lm.regularizers import norm, omega, part_omega, unit_vectors
from lm.train import (
    init_state,
    make_gradient,
    make_loss,
    make_train_step,
    numbers_of,
)
from lm.types import Batch, Context
from lm.unroll import looped
from tests.zoo import OF_EACH_FORM, close

T, B, D, H, C = 5, 3, 4, 6, 3
KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
XS, TARGETS = RNG.normal(size=(T, B, D)), RNG.integers(0, C, (T, B))
WEIGHTS = np.ones((T, B)) / (T * B)


class Config(NamedTuple):
    """As experiments' config: what `numbers_of` reads."""

    model: ModelConfig
    optim: OptimConfig


pytestmark = pytest.mark.usefixtures("x64")


def make(cell="tanh", layers=1, own=None):
    init = InitConfig(scale=2.0)
    config = ModelConfig(cell, layers, H, 0, init=init)
    model = build_labelling(config, D, C, classification(), own)
    params = model.init(KEY)
    return model, jax.tree.map(lambda p: p.astype(jnp.float64), params)


def energy(model, params, context=Context(), weights=WEIGHTS):
    """E, the mean of the losses at all steps."""
    state = model.initial_state(params, B)
    _, hs = model.apply(params, jnp.asarray(XS), state, context)
    losses = classification().losses(model.logits(params, hs), jnp.asarray(TARGETS))
    return jnp.sum(losses * weights)


def paths_and_gradients(model, params, weights=WEIGHTS):
    def value(taps):
        paths: dict[str, Recorded] = {}
        context = Context(taps=taps, recorded=paths)
        return energy(model, params, context, weights), paths

    δ, paths = jax.grad(value, has_aux=True)(taps_of(model.parts, params, T, B))
    return paths, δ


@cache
def case(cell, layers=1):
    model, params = make(cell, layers)
    return model, params, *jax.jit(partial(paths_and_gradients, model))(params)


def brute_force(params) -> tuple[float, int]:
    """Σ (ratio − 1)² of a tanh network in NumPy: every ∂E/∂h_t by its own sum of
    products of Jacobians ∂h_t/∂h_{t−1} = diag(1 − h_t²)·W."""
    layer, softmax = params["layers"][0], params["softmax"]
    w = np.asarray(layer["w_h"])
    total, count = 0.0, 0
    for lane in range(B):
        h, hs, direct = np.zeros(H), [], []
        for t in range(T):
            h = np.tanh(XS[t, lane] @ layer["w_x"] + layer["b"] + h @ w)
            logits = h @ softmax["w"] + softmax["b"]
            p = np.exp(logits) / np.exp(logits).sum()
            p[TARGETS[t, lane]] -= 1
            hs.append(h)
            direct.append(np.asarray(softmax["w"]) @ p / (T * B))
        jacobians = [w * (1 - h**2) for h in hs]  # [i, j] = ∂h_t[j]/∂h_{t−1}[i]
        for k in range(T - 1):
            δ = np.zeros(H)
            for late in range(k + 1, T):
                term = direct[late]
                for t in range(late, k + 1, -1):
                    term = jacobians[t] @ term
                δ += term
            ratio = np.linalg.norm(jacobians[k + 1] @ δ) / np.linalg.norm(δ)
            total, count = total + float(ratio - 1) ** 2, count + 1
    return total, count


def test_omega_by_brute_force():
    model, params, paths, δ = case("tanh")
    got = omega(model.parts, params, paths, δ)
    total, count = brute_force(params)
    close((got.squares, got.count, got.mean()), (total, count, total / count), 1e-9)
    assert total / count > 0.01, "there should be something to regularize"


@pytest.mark.parametrize("cell", OF_EACH_FORM)
def test_gradient_by_finite_differences_with_everything_frozen(cell):
    """Also: only the leaves that multiply the state have one."""
    model, params, paths, δ = case(cell, 2)

    @jax.jit
    def value(params):
        return omega(model.parts, params, paths, δ).squares

    gradient = jax.jit(jax.grad(value))(params)
    direction = jax.tree.map(lambda p: jnp.asarray(RNG.normal(size=p.shape)), params)
    recurrent = model.parts[0].cell.recurrent
    for number, layer in enumerate(gradient["layers"]):
        for name, leaf in layer.items():
            assert bool(jnp.any(leaf != 0)) == (name in recurrent), (number, name)
            if name not in recurrent:
                direction["layers"][number][name] *= 0
    assert not np.any(gradient["softmax"]["w"])
    direction["softmax"] = jax.tree.map(jnp.zeros_like, params["softmax"])

    def moved(ε):
        return value(jax.tree.map(lambda p, d: p + ε * d, params, direction))

    slope = sum(jax.tree.leaves(jax.tree.map(jnp.vdot, gradient, direction)))
    ε = 1e-6
    np.testing.assert_allclose(slope, (moved(ε) - moved(-ε)) / (2 * ε), rtol=1e-5)


def pre_activation(hidden):
    """h = tanh(x), with x = z + tanh(x')·W as the state: the paper's coordinates."""
    from lm.cells.elman import ElmanState

    return general(
        "x",
        hidden,
        init=lambda key, d: draw_gates(key, d, hidden, 1, InitConfig(scale=2.0), True),
        initial_state=zeros(ElmanState, 1, hidden),
        step=lambda p, s, z: ElmanState(z + jnp.tanh(s.h) @ p["w_h"]),
        output=lambda s: jnp.tanh(s.h),
    )


def test_in_the_papers_coordinates_it_is_equation_10():
    """‖∂E/∂x_{k+1}·W_recᵀ·diag(σ′(x_k))‖ / ‖∂E/∂x_{k+1}‖, W_rec alone moving."""
    model, params = make(own=pre_activation(H))
    paths, δ = paths_and_gradients(model, params)
    x, δ_x = paths["0"].before.h[1:], δ["0"].h[1:]

    def written_out(w):
        back = (δ_x @ w.T) * (1 - jnp.tanh(x) ** 2)
        norms = jnp.linalg.norm(back, axis=-1), jnp.linalg.norm(δ_x, axis=-1)
        return jnp.mean((norms[0] / norms[1] - 1) ** 2)

    def ours(w):
        layer = params["layers"][0] | {"w_h": w}
        return omega(model.parts, params | {"layers": (layer,)}, paths, δ).mean()

    w = params["layers"][0]["w_h"]
    close(jax.value_and_grad(ours)(w), jax.value_and_grad(written_out)(w), 1e-9)


def test_an_orthogonal_linear_network_costs_nothing():
    cell = general(
        "linear",
        H,
        init=lambda key, d: {
            "w_x": jnp.zeros((d, H)),
            "w_h": jax.random.orthogonal(key, H),
        },
        initial_state=lambda params, batch: jnp.zeros((batch, H)),
        step=lambda p, state, z: z + state @ p["w_h"],
        output=lambda state: state,
    )
    w = jax.random.orthogonal(KEY, H)
    ones, δ = jnp.ones((T, B, H)), RNG.normal(size=(T, B, H))
    path = Recorded(ones, ones, ones)
    at = partial(part_omega, cell, path=path, δ=jnp.asarray(δ))
    close(at({"w_h": w}).squares, 0.0, atol=1e-12)
    close(at({"w_h": 3 * w}).mean(), 4.0)


@pytest.mark.parametrize("cell", ["tanh", "lstm", "gru_reset_before"])
def test_recording_changes_no_number(cell):
    model, params, _, δ = case(cell, 2)
    paths: dict[str, Recorded] = {}
    plain = energy(model, params, Context(driver=looped))
    close(energy(model, params, Context(recorded=paths)), plain, 1e-12)
    assert list(paths) == ["0", "1"]
    state, _ = model.apply(params, jnp.asarray(XS[:3]), model.initial_state(params, B))
    third = jax.tree.map(lambda s: s[3], tuple(path.before for path in paths.values()))
    close(third, state, 1e-9)


def test_gradients_that_have_vanished_are_left_out():
    """A loss at step 1 alone: nothing reaches later steps, and 0/0 is no NaN."""
    model, params = make()
    weights = np.zeros((T, B))
    weights[1] = 1
    paths, δ = paths_and_gradients(model, params, weights)
    value, gradient = jax.value_and_grad(
        lambda p: omega(model.parts, p, paths, δ).mean()
    )(params)
    assert omega(model.parts, params, paths, δ).count == B
    assert np.isfinite(value) and np.all(np.isfinite(gradient["layers"][0]["w_h"]))
    nothing = omega(model.parts, params, paths, jax.tree.map(jnp.zeros_like, δ))
    assert nothing.count == 0 and nothing.mean() == 0


def test_tiny_gradients_keep_their_direction():
    tiny = jnp.asarray([[3e-30, 4e-30], [0.0, 0.0]], jnp.float32)
    unit, there = unit_vectors({"h": tiny})
    np.testing.assert_allclose(unit["h"], [[0.6, 0.8], [0, 0]], rtol=1e-6)
    assert there.tolist() == [True, False]
    assert np.all(jax.grad(lambda x: norm(x).sum())(jnp.zeros((2, 2))) == 0)


@pytest.mark.slow
def test_training_adds_omega_to_the_gradient_of_the_loss():
    config = ModelConfig("lstm", 2, H, D)
    model, optim = build(config, C), OptimConfig("sgd", 0.5, clip="none", omega=0.25)
    numbers = numbers_of(Config(config, optim))
    state = init_state(model.problem, optim, numbers, KEY, B)
    ids = RNG.integers(0, C, (T, B))
    batch = Batch(ids, TARGETS, np.ones((T, B)), np.ones(B, bool))
    after, info = jax.jit(make_train_step(model.problem, optim))(
        state, batch, KEY, numbers
    )

    def value(params, taps):
        paths: dict[str, Recorded] = {}
        begin = model.initial_state(params, B)
        context = Context(taps=taps, recorded=paths)
        _, hs = model.apply(params, ids, begin, context)
        total = cross_entropy(model.logits(params, hs), TARGETS, batch.mask)
        return total.mean(), (total, paths)

    taps = taps_of(model.parts, state.params, T, B)
    both = jax.grad(value, (0, 1), has_aux=True)
    (raw, δ), (total, paths) = both(state.params, taps)
    extra = jax.grad(lambda p: omega(model.parts, p, paths, δ).mean())(state.params)
    want = jax.tree.map(
        lambda p, g, e: p - 0.5 * (g + 0.25 * e), state.params, raw, extra
    )
    close(after.params, want, rtol=1e-4, atol=1e-6)
    close(info.loss, total, rtol=1e-5)
    moved = jax.tree.map(lambda e: float(jnp.abs(e).max()), extra)
    assert moved["layers"][0]["w_h"] > 1e-4, "Ω should have something to do"


def test_without_omega_the_step_is_as_it_was():
    config = ModelConfig("lstm", 1, H, D)
    model, optim = build(config, C), OptimConfig()
    rates = rates_of(config.dropout)
    params = model.init(KEY)
    batch = Batch(TARGETS, TARGETS, np.ones((T, B)), np.ones(B, bool))
    at = params, model.initial_state(params, B), batch, KEY, rates

    def text(gradient):
        return str(jax.make_jaxpr(gradient)(*at))

    loss = make_loss(model.problem, optim)
    without = text(make_gradient(model.problem, optim))
    assert without == text(jax.grad(loss, has_aux=True))
    assert without != text(make_gradient(model.problem, replace(optim, omega=1.0)))


def test_what_omega_does_not_go_with():
    with pytest.raises(ConfigError, match="optim.omega is 2.0 and optim.truncation 4"):
        OptimConfig(omega=2.0, truncation=4)
    with pytest.raises(ConfigError, match="optim.omega is -1"):
        OptimConfig(omega=-1.0)
    model = build(ModelConfig("tanh", 1, H, D), C)
    with pytest.raises(ConfigError, match="2 devices share the batch"):
        mesh = SimpleNamespace(size=2)
        make_shared_train_step(model.problem, OptimConfig(omega=2.0), mesh)
