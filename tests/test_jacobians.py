"""Jacobians against finite differences, their products in closed form, radii."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm.config import ModelConfig
from lm.gradflow import jacobians, transitions
from lm.models.language_model import build
from tests.zoo import OF_EACH_FORM, ZOO, B, H, cell_of, close, window

pytestmark = pytest.mark.usefixtures("strict")
RNG = np.random.default_rng(0)


def numpy_jacobian(name, params, x, state, step=1e-6):
    """Central differences of the NumPy reference, one lane, in double precision."""
    params = {k: np.asarray(v, np.float64) for k, v in params.items()}
    fields = ZOO[name].fields
    s = np.concatenate([np.asarray(state[f], np.float64) for f in fields])

    def after(s):
        parts = np.split(s[None], len(fields), axis=1)
        new = ZOO[name].step(params, x[None], dict(zip(fields, parts, strict=True)))
        return np.concatenate([new[f][0] for f in fields])

    moves = step * np.eye(len(s))
    return np.stack([(after(s + m) - after(s - m)) / (2 * step) for m in moves], axis=1)


@pytest.mark.parametrize("name", OF_EACH_FORM)
def test_jacobians_are_those_of_finite_differences(name):
    free, _ = window(name)
    cell, xs = cell_of(name), free.xs[:2]
    transition = transitions.of_cell(cell, free.params)
    state = jax.tree.map(jnp.asarray, free.state)
    got = jax.jit(lambda s: jacobians.step_jacobians(transition, s, xs))(state)
    before = transitions.trajectory(transition, state, xs)
    for t in range(2):
        for lane in range(B):
            at = {f: getattr(before, f)[t, lane] for f in ZOO[name].fields}
            want = numpy_jacobian(name, free.params, xs[t, lane], at)
            close(got[t, lane], want, rtol=1e-3, atol=1e-5)
    fields = transitions.vectors(state).fields
    assert list(fields) == list(ZOO[name].fields) and fields["h"] == slice(0, H)


def test_the_states_of_a_whole_model_are_one_vector():
    model = build(ModelConfig("lstm", layers=2, hidden=H, embedding=3), 5)
    params = model.init(jax.random.key(0))
    state = model.initial_state(params, B)
    step = transitions.of_layer(model.layer, params)
    flatten, unflatten, fields = transitions.vectors(state)
    assert list(fields) == ["0.h", "0.c", "1.h", "1.c"]
    random = jnp.asarray(RNG.normal(size=(B, 4 * H)), jnp.float32)
    close(flatten(unflatten(random)), random)
    close(unflatten(random)[1].c, random[:, fields["1.c"]])
    ids = jnp.zeros((1, B), jnp.int32)
    got = jacobians.step_jacobians(step, unflatten(random), ids)[0]
    assert float(jnp.abs(got[:, fields["0.h"], fields["1.h"]]).max()) == 0
    assert float(jnp.abs(got[:, fields["1.h"], fields["0.h"]]).max()) > 1e-3
    after, push = transitions.pushforward(
        lambda s: transitions.on_vectors(step, state)(s, ids[0, 0]), random[0]
    )
    close(after, flatten(step(unflatten(random), ids[0]))[0])
    close(push(random[1]), got[0] @ random[1], rtol=1e-4, atol=1e-6)


def test_singular_values_of_long_products_neither_under_nor_overflow():
    """Products of 2,000 steps whose singular values are known: a diagonal of .5, 2, 1/8
    and 0 (.5²⁰⁰⁰ is 1e-602), then the same between rotations that cancel."""
    diagonal = np.diag([0.5, 2.0, 0.125, 0.0]).astype(np.float32)
    products = jax.jit(jacobians.product_singular_values)
    want = 2000 * np.log([2, 0.5, 0.125])
    got = products(np.broadcast_to(diagonal, (2000, 4, 4)))
    close(got[:3], want, rtol=1e-5)
    assert got[3] == -np.inf
    rotations = [np.linalg.qr(RNG.normal(size=(3, 3)))[0] for _ in range(2001)]
    pairs = zip(rotations[:-1], rotations[1:], strict=True)
    turned = [b @ diagonal[:3, :3] @ a.T for a, b in pairs]
    close(products(np.stack(turned).astype(np.float32)), want, rtol=1e-4)
    scaled = np.float32(0.7) * np.stack(rotations[:2000]).astype(np.float32)
    close(products(scaled), np.full(3, 2000 * np.log(0.7)), rtol=1e-4)


@pytest.mark.parametrize("steps", [1, 3, 8])
def test_singular_values_of_short_products(steps):
    factors = RNG.normal(size=(steps, 4, 4))
    want = np.linalg.svd(np.linalg.multi_dot([np.eye(4), *factors[::-1]]))[1]
    got = jacobians.product_singular_values(jnp.asarray(factors, jnp.float32))
    close(got, np.log(want), rtol=1e-3, atol=1e-3)
    close(jacobians.singular_values(jnp.asarray(factors, jnp.float32))[0],
          np.linalg.svd(factors[0])[1], rtol=1e-4)  # fmt: skip


@pytest.mark.parametrize("name", ["tanh", "lstm", "gru"])
def test_radius_and_norm_of_each_gate(name):
    params = window(name)[0].params
    cell = cell_of(name)
    blocks = np.split(np.asarray(params["w_h"], np.float64), len(cell.blocks), axis=1)
    radii = [abs(np.linalg.eigvals(block)).max() for block in blocks]
    close(jacobians.spectral_radius(params, cell), radii, rtol=1e-4)
    norms = [np.linalg.norm(block, 2) for block in blocks]
    close(jacobians.spectral_norm(params, cell), norms, rtol=1e-4)


def test_radii_that_powers_could_miss():
    nilpotent, jordan = np.triu(np.ones((4, 4)), 1), 2 * np.triu(np.ones((4, 4)))
    turn = 3 * np.eye(4)[[1, 2, 3, 0]]
    got = jax.vmap(jacobians.radius)(
        jnp.asarray([nilpotent, jordan, turn, np.zeros((4, 4))], jnp.float32)
    )
    close(got, [0, 2, 3, 0], rtol=1e-3)
    none = cell_of("tanh")._replace(recurrent=())
    assert jacobians.spectral_radius({}, none).shape == (0,)
    assert jacobians.spectral_norm({}, none).shape == (0,)
