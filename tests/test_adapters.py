"""Cells from elsewhere: Flax's numbers, training, every instrument; the way back."""

import pathlib
import runpy

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx, traverse_util

from lm.adapters import cell_of, cell_of_flax, flax_cell, flax_cells, flax_layer
from lm.cells import make_cell
from lm.config import ConfigError, ModelConfig, OptimConfig
from lm.dropout import Rates
from lm.gradflow import gates, jacobians, lyapunov, norms, terms, through_time
from lm.gradflow.transitions import of_layer
from lm.models.language_model import build
from lm.optim import Hyperparameters
from lm.train import init_state, make_gradient, make_train_step
from lm.types import Batch
from lm.unroll import unroll
from tests.linear import linear_cell
from tests.zoo import close

ROOT = pathlib.Path(__file__).parents[1]
T, B, D, H, V = 4, 2, 3, 5, 7
RNG = np.random.default_rng(0)
XS = RNG.normal(size=(T, B, D)).astype(np.float32)
IDS, TARGETS = RNG.integers(0, V, (2, T, B)).astype(np.int32)
BATCH = Batch(IDS, TARGETS, np.ones((T, B), np.float32), np.ones(B, bool))


def maker(kind):
    return lambda d_in, rngs: kind(d_in, H, rngs=rngs)


NNX = [nnx.LSTMCell, nnx.OptimizedLSTMCell, nnx.GRUCell, nnx.SimpleCell]
LINEN = [linen.LSTMCell, linen.GRUCell, linen.SimpleCell, linen.MGUCell]


def ours(cell, params):
    """(state, outputs) after XS, by `unroll`."""
    run = jax.jit(lambda p: unroll(cell, p, XS, cell.initial_state(p, B)))
    return run(params)


@pytest.mark.parametrize("kind", NNX, ids=lambda kind: kind.__name__)
def test_an_nnx_cell_gives_what_nnx_gives(kind):
    cell = cell_of_flax(maker(kind))
    key = jax.random.key(3)
    params = cell.init(key, D)
    theirs = nnx.RNN(maker(kind)(D, nnx.Rngs(key)), time_major=True, return_carry=True)
    carry, ys = theirs(XS, initial_carry=cell.initial_state(params, B))
    close(ours(cell, params), (carry, ys), rtol=1e-6, atol=1e-7)
    assert cell.name == kind.__name__ and cell.d_hidden == H
    assert cell.recurrent and jacobians.spectral_radius(params, cell).size in (1, 3, 4)


@pytest.mark.parametrize("kind", LINEN, ids=lambda kind: kind.__name__)
def test_a_linen_cell_gives_what_linen_gives(kind):
    module = kind(features=H)
    cell = cell_of_flax(module)
    params = cell.init(jax.random.key(3), D)
    nested = traverse_util.unflatten_dict(params, sep=".")
    run = linen.RNN(module, time_major=True, return_carry=True)
    want = run.apply({"params": {"cell": nested}}, XS)
    close(ours(cell, params), want, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", ["lstm", "gru_reset_before"])
def test_our_cells_run_in_flax(name):
    cell = make_cell(name, H)
    params = cell.init(jax.random.key(0), D)
    run = nnx.RNN(flax_cell(cell, params), time_major=True)
    close(run(XS), ours(cell, params)[1], rtol=1e-6, atol=1e-7)

    def loss(run):
        return jnp.sum(run(XS) ** 2)

    grads = nnx.grad(loss)(run)
    want = jax.grad(lambda p: jnp.sum(ours(cell, p)[1] ** 2))(params)
    grads = {name: leaf[...] for (*_, name), leaf in nnx.to_flat_state(grads)}
    close(grads, want, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_our_models_run_and_train_in_flax():
    """A stack whose lower layer has two state fields, ids to logits."""
    config = ModelConfig(cell="lstm", layers=2, hidden=H, embedding=H, softmax="tied")
    model = build(config, V)
    params = model.init(jax.random.key(0))
    module = flax_layer(model.layer, params)
    state, logits = nnx.jit(lambda m, ids: m(ids))(module, IDS)
    want, hs = model.apply(params, IDS, model.initial_state(params, B))
    close((state, logits), (want, model.logits(params, hs)), rtol=1e-6, atol=1e-7)
    more, _ = module(IDS, state)
    close(more, model.apply(params, IDS, want)[0], rtol=1e-6, atol=1e-7)

    def loss(module):
        chosen = jax.nn.log_softmax(module(IDS)[1])
        return -jnp.take_along_axis(chosen, TARGETS[..., None], -1).mean()

    optimizer = nnx.Optimizer(module, optax.sgd(0.5), wrt=nnx.Param)
    first, grads = nnx.value_and_grad(loss)(module)
    optimizer.update(module, grads)
    assert loss(module) < first
    assert jax.tree.structure(module.params) == jax.tree.structure(params)
    names = {
        ".".join(map(str, path)) for path, _ in nnx.to_flat_state(nnx.state(module))
    }
    assert "weights.layers.0.w_h" in names and "weights.embedding" in names


@pytest.mark.parametrize("name", flax_cells())
def test_a_cell_of_flax_by_its_name(name):
    """Its numbers are those of `cell_of_flax`; ids are one-hot rows."""
    cell, kind = make_cell(f"flax:{name}", H), flax_cells()[name]
    nested = issubclass(kind, linen.Module)
    plain = cell_of_flax(kind(features=H) if nested else maker(kind))
    params = cell.init(jax.random.key(3), V)
    close(params, plain.init(jax.random.key(3), V), rtol=0, atol=0)
    assert cell.name == f"flax:{name}" and cell.recurrent == plain.recurrent != ()
    close(cell.project(params, IDS), np.eye(V)[IDS])
    start = cell.initial_state(params, B)
    z = cell.project(params, IDS[0])
    close(cell.step(params, start, z), plain.step(params, start, np.eye(V)[IDS[0]]))


class Squared(nnx.Module):
    """A cell whose output is computed: no part of its carry."""

    def __init__(self, d_in: int, *, rngs: nnx.Rngs):
        self.mix = nnx.Linear(d_in + H, H, rngs=rngs)

    def __call__(self, carry, x):
        carry = jnp.tanh(self.mix(jnp.concatenate([x, carry], axis=-1)))
        return carry, carry**2

    def initialize_carry(self, input_shape, rngs):
        return jnp.zeros((*input_shape[:-1], H))


def test_an_output_that_is_no_part_of_the_carry():
    cell = cell_of_flax(lambda d_in, rngs: Squared(d_in, rngs=rngs))
    params = cell.init(jax.random.key(0), D)
    state, hs = ours(cell, params)
    close(state[0] ** 2, hs[-1])
    assert cell.recurrent == ()
    assert cell.project(params, IDS).shape == (T, B, D)  # one-hot, of D ids


class Counting(Squared):
    """A cell that remembers something besides its carry."""

    def __init__(self, d_in: int, *, rngs: nnx.Rngs):
        super().__init__(d_in, rngs=rngs)
        self.calls = nnx.BatchStat(jnp.zeros(()))


def instruments(model, params):
    """Every instrument of lm.gradflow, in one function."""
    state = model.initial_state(params, B)
    given = (model.problem, params, state, BATCH)
    step = of_layer(model.layer, params)
    jacobian = jacobians.step_jacobians(step, state, jnp.asarray(IDS))
    gradient = make_gradient(model.problem, OptimConfig())

    def of_lane(lane):
        ids, targets, mask = (x[:, None] for x in lane)
        one = Batch(ids, targets, mask, jnp.ones(1, bool))
        start = model.initial_state(params, 1)
        return gradient(params, start, one, None, None)[0]

    lanes = tuple(x.T for x in (IDS, TARGETS, BATCH.mask))
    return {
        "norms": through_time.norms_through_time(*given),
        "profile": through_time.lag_profile(*given),
        "terms": terms.bptt_terms(model.layer, params, IDS, TARGETS, state),
        "bias": terms.truncation_bias(model.layer, params, BATCH, state, [1, 2]),
        "singular": jacobians.singular_values(jacobian),
        "products": jacobians.product_singular_values(jacobian[:, 0]),
        "radius": jacobians.spectral_radius(params["layers"][0], model.parts[0].cell),
        "exponents": lyapunov.lyapunov_spectrum(step, state, IDS, 1),
        "gates": gates.gate_statistics(*given),
        "state": gates.state_statistics(*given),
        "noise": norms.noise_scale_of(of_lane, lanes, B),
    }


OWN = {"linear": linear_cell(H), "nnx": cell_of_flax(maker(nnx.LSTMCell))}
OWN |= {"linen": cell_of_flax(linen.LSTMCell(features=H))}
OWN |= {"computed output": cell_of_flax(lambda d, rngs: Squared(d, rngs=rngs))}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["linen", "computed output"])
def test_every_instrument_measures_a_cell_from_elsewhere(name):
    """One of Flax's older interface with two fields of state, one of nnx."""
    model = build(ModelConfig(hidden=H, embedding=D), V, OWN[name])
    params = model.init(jax.random.key(0))
    found = jax.jit(lambda p: instruments(model, p))(params)
    for leaf in jax.tree.leaves({k: v for k, v in found.items() if k != "products"}):
        assert not np.isnan(leaf).any()
    assert found["profile"].raw_LK.shape == (1, T) and np.all(found["norms"]["0"] > 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nnx", "linen"])
def test_a_flax_cell_trains(name):
    """Two steps of gradient descent on one batch; its parameters and loss move."""
    model = build(ModelConfig(layers=2, hidden=H, embedding=D), V, OWN[name])
    optim = OptimConfig(optimizer="sgd", learning_rate=0.5)
    numbers = Hyperparameters(0.5, 5.0, 0.0, Rates())
    state = init_state(model.problem, optim, numbers, jax.random.key(0), B)
    step = jax.jit(make_train_step(model.problem, optim))
    first = state.params
    losses = []
    for _ in range(3):
        state, info = step(state, BATCH, jax.random.key(1), numbers)
        losses.append(float(info.loss.mean()))
    assert losses[2] < losses[1] < losses[0]
    moved = jax.tree.map(lambda a, b: float(abs(a - b).max()), first, state.params)
    assert all(v > 0 for v in jax.tree.leaves(moved["layers"]))


def test_what_goes_wrong_is_said():
    with pytest.raises(ConfigError, match="model.hidden is 9 but the cell 'linear'"):
        build(ModelConfig(hidden=9), V, OWN["linear"])
    model = build(ModelConfig(hidden=H, embedding=0), V, OWN["linear"])
    params, start = {"layers": ({},)}, (jnp.zeros((B, H)),)
    with pytest.raises(ConfigError, match="'linear' reads vectors, not word ids"):
        model.apply(params, jnp.asarray(IDS), start)
    single = cell_of_flax(nnx.GRUCell(D, H, rngs=nnx.Rngs(0)))
    close(single.init(jax.random.key(1), D), single.init(jax.random.key(2), D))
    with pytest.raises(
        ConfigError, match="GRUCell reads vectors of 3 numbers but gets"
    ):
        single.init(jax.random.key(0), 4)
    with pytest.raises(ConfigError, match="holds state that is no parameter"):
        cell_of_flax(lambda d_in, rngs: Counting(d_in, rngs=rngs))
    with pytest.raises(ConfigError, match="did you mean 'flax:GRUCell'.*linen.MGUCell"):
        make_cell("flax:GRUCel", H)
    with pytest.raises(ConfigError, match="flax:NAME"):
        make_cell("torch:GRU", H)
    with pytest.raises(ConfigError, match="model.bias is False, but flax:GRUCell"):
        make_cell("flax:GRUCell", H, bias=False)


@pytest.mark.slow
def test_a_cell_of_one_s_own_in_forty_lines(capsys):
    script = ROOT / "tests" / "examples" / "own_cell.py"
    assert len(script.read_text(encoding="utf-8").splitlines()) <= 40
    runpy.run_path(str(script), run_name="__main__")
    found = capsys.readouterr().out
    assert found.startswith("half-life 15 steps, 95 % in [13, 17]")


def test_a_step_function_alone_is_a_cell():
    """The logistic map x' = 4x(1 − x): no parameters, λ = ln 2."""
    cell = cell_of(lambda params, x, _: 4 * x * (1 - x), d_hidden=1, name="logistic")
    assert cell.init(jax.random.key(0), 3) == {}
    assert cell.initial_state({}, 2).shape == (2, 1)
    start = jnp.asarray([[0.3], [0.37]])
    xs = jnp.zeros((3000, 2, 1))
    found = lyapunov.lyapunov_spectrum(
        lambda s, x: cell.step({}, s, x), start, xs, warmup=100
    )
    assert abs(float(found.exponents_K[0]) - np.log(2)) < 0.02
