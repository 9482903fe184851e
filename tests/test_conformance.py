"""What holds for every cell, in double precision, from one compiled function each.

That function gives values and gradients of an unrolled window; it is held to a NumPy
reference, and the other properties are asked of it with other numbers.
"""

import dataclasses
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm.cells import CELLS, make_cell, papers
from lm.config import InitConfig
from lm.linear import COMPLEX
from lm.problem import InitNumbers, TracedInit
from tests import zoo
from tests.zoo import DISTINCT, FACTORED, ZOO, B, D, H, T, close

pytestmark = pytest.mark.usefixtures("strict", "x64")
every_cell = zoo.of_each(DISTINCT)
NUMBERS = InitNumbers(scale=0.5, gain=1.5, forget_bias=2.0)


@cache
def window(name, seed=2):
    """`zoo.window` in double precision."""
    return jax.tree.map(lambda x: x.astype(np.float64), zoo.window(name, seed))


def test_the_zoo_lists_every_cell():
    assert set(ZOO) == set(CELLS), (
        "describe the new cell in the zoo's file of its family"
    )


def test_papers_are_of_cells():
    named = [n for ps in papers.PAPERS.values() for p in ps for n in p.cells]
    assert set(named) <= set(CELLS) and len(set(named)) == len(named)


@zoo.of_each(ZOO)
def test_what_a_cell_says_of_itself(name):
    entry, cell = ZOO[name], zoo.cell_of(name)
    assert (cell.name, cell.d_hidden) == (name, H)
    factored, linear = entry.form == "factored", entry.form == "linear"
    assert (cell.w_HG is not None, cell.pointwise is not None) == (factored,) * 2
    assert (cell.coefficients is not None) == linear
    params = window(name)[0].params
    assert set(cell.recurrent) <= set(params) - set(entry.biases)
    for lead in ((T, B), (B,), (2, T, B)):
        ids, xs = np.ones(lead, np.int32), np.ones((*lead, D))
        by_id, by_x = (jax.eval_shape(cell.project, params, x) for x in (ids, xs))
        assert by_id == by_x and all(
            z.shape[: len(lead)] == lead for z in jax.tree.leaves(by_x)
        )
        assert not cell.blocks or by_x.shape[-1] == len(cell.blocks) * H


@zoo.of_each(ZOO)
def test_initial_parameters_and_state(name):
    """Traced numbers of `InitConfig` give what plain ones give, in float32."""
    numbers = dataclasses.replace(InitConfig(), **NUMBERS._asdict())

    def draw(init):
        cell = make_cell(name, H, init)
        params = cell.init(jax.random.key(0), D)
        return params, cell.initial_state(params, B)

    def traced(scale, gain, forget_bias):
        known = dataclasses.asdict(InitConfig())
        return draw(
            TracedInit(
                **known | {"scale": scale, "gain": gain, "forget_bias": forget_bias}
            )
        )

    with jax.enable_x64(False):
        params, state = draw(numbers)
        assert jax.eval_shape(traced, *NUMBERS) == jax.eval_shape(
            lambda: (params, state)
        )
    assert state._fields == ZOO[name].fields
    for leaf in jax.tree.leaves(state):
        assert len(leaf) == B and np.all(np.isfinite(leaf))
    for leaf in jax.tree.leaves(params):
        assert leaf.dtype in (np.float32, np.complex64) and np.all(np.isfinite(leaf))
    bare, one = make_cell(name, H, bias=False), make_cell(name, 1)
    names = set(jax.eval_shape(lambda key: bare.init(key, D), jax.random.key(0)))
    assert names == set(params) - set(ZOO[name].biases)
    assert set(ZOO[name].biases) <= set(params)
    jax.eval_shape(
        lambda key: one.initial_state(one.init(key, D), B), jax.random.key(0)
    )


@every_cell
def test_numpy_values_and_gradients(name):
    """A few lines of NumPy, unrolled with resets, padding and taps; its gradient by
    central differences in every single number."""
    free, given = window(name)
    got = zoo.run(name)(free, given)
    _, state, hs = zoo.numpy_losses(name, free, given)
    close(got.state._asdict(), state, rtol=1e-11)
    close(got.hs, np.stack(hs), rtol=1e-11)
    want = zoo.numpy_gradients(name, free, given)
    close(got.grads, want, rtol=1e-6, atol=1e-7)


def plain(name):
    """A window in which nothing happens, taps of 0 included."""
    free, given = window(name)
    free = free._replace(taps=jax.tree.map(np.zeros_like, free.taps))
    return free, given._replace(
        reset=np.zeros_like(given.reset), mask=np.ones_like(given.mask)
    )


@every_cell
def test_the_future_is_not_seen(name):
    """∂h_t/∂x_s = 0 exactly for s after t, and not 0 for s = t."""
    free, given = plain(name)
    given = given._replace(on_state=jax.tree.map(np.zeros_like, given.on_state))
    for t in (0, 2, T - 1):
        now = (np.arange(T) == t)[:, None, None].astype(float)
        grads = zoo.run(name)(free, given._replace(on_hs=given.on_hs * now)).grads
        size = np.abs(grads.xs).max((1, 2))
        assert np.all(size[t + 1 :] == 0) and size[t] > 0, (t, size)


@every_cell
def test_padding_passes_the_state_through_whatever_it_holds(name):
    free, given = plain(name)
    given = given._replace(mask=window(name)[1].mask)
    real = given.mask[..., None]
    given = given._replace(on_hs=given.on_hs * real)
    garbage = np.where(real > 0, free.xs, 1e3)
    one, other = (zoo.run(name)(free._replace(xs=x), given) for x in (free.xs, garbage))
    if zoo.cell_of(name).readout:
        one, other = (r._replace(hs=r.hs * real) for r in (one, other))
    close(other, one, rtol=0, atol=0)
    assert np.all(np.asarray(one.grads.xs)[given.mask == 0] == 0)


@every_cell
def test_reset_is_a_fresh_start(name):
    """As if the lane began there: padding until then, from the initial state."""
    free, given = plain(name)
    at, lane, late = 2, 0, np.arange(T)[:, None] >= 2
    given = given._replace(on_hs=given.on_hs * late[..., None])
    reset = (np.arange(T)[:, None] == at) & (np.arange(B) == lane)
    got = zoo.run(name)(free, given._replace(reset=reset.astype(float)))
    start = jax.tree.map(np.asarray, zoo.cell_of(name).initial_state(free.params, B))
    want = zoo.run(name)(
        free._replace(state=start), given._replace(mask=late * given.mask)
    )

    def of_lane(r):
        return r.hs[at:, lane], r.grads.xs[:, lane], [s[lane] for s in r.state]

    close(of_lane(got), of_lane(want))
    # Nothing before the reset is to blame for anything after it.
    assert np.all(np.asarray(got.grads.xs)[:at, lane] == 0)
    assert all(np.all(np.asarray(s)[lane] == 0) for s in got.grads.state)
    assert zoo.run(name)._cache_size() == 1, "some numbers compiled it again"


@every_cell
def test_ids_are_one_hot_rows_and_no_bias_is_a_bias_of_zero(name):
    params, biases = window(name)[0].params, ZOO[name].biases
    project = zoo.cell_of(name).project
    ids = np.arange(T * B).reshape(T, B) * 3 % D
    close(project(params, ids), project(params, np.eye(D)[ids]), rtol=1e-12)
    if not biases:
        return
    zero = {k: 0 * v if k in biases else v for k, v in params.items()}
    bare = {k: v for k, v in params.items() if k not in biases}
    cell, (_, xs, state, _) = make_cell(name, H, bias=False), window(name)[0]
    got = cell.step(bare, state, cell.project(bare, xs[0]))
    want = ZOO[name].step(zero, xs[0], state._asdict())
    close(got._asdict(), {k: want[k] for k in state._fields}, rtol=1e-10)


@every_cell
def test_dtypes(name):
    """Every type comes out as it went in, gradients too, where float64 is allowed; and
    no tracer leaks, which is looked for in one of them, since that takes seconds."""
    cell = zoo.cell_of(name)
    for dtype in (jnp.float32, jnp.bfloat16):

        def cast(x, dtype=dtype):
            return jax.ShapeDtypeStruct(
                x.shape, dtype if x.dtype.kind == "f" else x.dtype
            )

        free, given = jax.tree.map(cast, window(name))
        with jax.check_tracer_leaks(dtype == jnp.bfloat16):
            result = jax.eval_shape(zoo.run(name).__wrapped__, free, given)
        assert result.hs.dtype == dtype
        for like, got in ((free, result.grads), (free.state, result.state)):
            assert jax.tree.map(jnp.shape, like) == jax.tree.map(jnp.shape, got)
            assert all(x.dtype == dtype for x in jax.tree.leaves(got))
        fresh = jax.eval_shape(lambda p: cell.initial_state(p, B), free.params)
        assert all(s.dtype == dtype for s in jax.tree.leaves(fresh))


@every_cell
def test_bfloat16_is_near(name):
    """Three steps, against the reference from the same rounded numbers."""
    cell, entry = zoo.cell_of(name), ZOO[name]
    low = jax.tree.map(lambda x: jnp.asarray(x, jnp.bfloat16), zoo.window(name)[0])
    exact = jax.tree.map(lambda x: np.asarray(x, np.float64), low)
    state = exact.state
    for x in exact.xs[:3]:
        new = entry.step(exact.params, x, state._asdict())
        state = state._replace(**{k: new[k] for k in entry.fields})
    want = np.asarray(cell.output(jax.tree.map(jnp.asarray, state)))

    @jax.jit
    def run(free):
        zs, state = cell.project(free.params, free.xs[:3]), free.state
        for t in range(3):
            state = cell.step(free.params, state, jax.tree.map(lambda z, t=t: z[t], zs))
        return cell.output(state)

    got = np.asarray(run(low), float)
    # A phase near 2π is rounded by .04, and so at each of the steps.
    rounded = 0.2 if cell.product is COMPLEX else 0.05
    assert np.abs(got - want).max() < rounded * max(1, np.abs(want).max())


@every_cell
def test_gates_are_the_references(name):
    """By name; all in [0, 1]; the one that keeps the old state is among them."""
    free, cell, entry = window(name)[0], zoo.cell_of(name), ZOO[name]
    assert cell.gates
    z = cell.project(free.params, free.xs[0])
    found = cell.gates(free.params, free.state, z)
    new = entry.step(free.params, free.xs[0], free.state._asdict())
    want = {k: v for k, v in new.items() if k not in entry.fields}
    assert cell.retention is None or cell.retention in want
    close({k: np.asarray(v) for k, v in found.items()}, want, rtol=1e-9)
    for gate in found.values():
        assert float(gate.min()) > -1e-9 and float(gate.max()) < 1 + 1e-9


@zoo.of_each(sorted({*FACTORED} & {*DISTINCT}))
def test_step_is_pointwise_of_the_recurrent_product(name):
    """With only the vectors at hand, and a state before that is made of one array."""
    (params, xs, state, _), cell = window(name)[0], zoo.cell_of(name)
    z = cell.project(params, xs[0])
    assert cell.w_HG and cell.pointwise
    r = cell.output(state) @ cell.w_HG(params)
    vectors = {k: v for k, v in params.items() if v.ndim < 2}
    close(cell.pointwise(vectors, z, r, state), cell.step(params, state, z), rtol=1e-12)


@zoo.of_each(zoo.LINEAR)
def test_all_steps_at_once_are_one_after_another(name):
    """The associative scan, resets, padding and taps folded into its coefficients."""
    at = window(name)
    got = zoo.run(name, "associated")(*at)
    close(got, zoo.run(name)(*at), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", ["min_gru", "lru", "gated_delta_net", "qrnn"])
def test_all_steps_at_once_in_reverse(name):
    """For one cell of each product, and for one that reads what it held before."""
    at = window(name)
    got = zoo.run(name, "associated", reverse=True)(*at)
    close(got, zoo.run(name, "scanned", reverse=True)(*at), rtol=1e-9, atol=1e-10)
