"""The one loop over time: every driver, every event, against a Python loop."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm import products
from lm.cells import make_cell
from lm.unroll import Events, unroll, unroll_projected
from tests import zoo
from tests.zoo import OF_EACH_FORM, B, D, H, T, close

pytestmark = pytest.mark.usefixtures("strict")
of_each_form = pytest.mark.parametrize("name", OF_EACH_FORM)


@of_each_form
def test_default_driver_is_the_python_loop(name):
    """Compiled, against one operation at a time: jit = eager too."""
    close(zoo.run(name)(*zoo.window(name)), zoo.oracle(name))


@pytest.mark.parametrize("name", ["lstm", "gru_reset_before"])
def test_one_can_step_through_it_with_a_debugger(name):
    free, given = zoo.window(name)
    with jax.disable_jit():
        _, (state, hs) = zoo.loss(name, "default", False, free, given)
    close((state, hs), zoo.oracle(name)[:2])


@of_each_form
def test_reverse_is_the_python_loop_and_the_mirror_of_forward(name):
    free, given = zoo.window(name)
    got = zoo.run(name, reverse=True)(free, given)
    close(got, zoo.oracle(name, reverse=True))

    def mirrored(x):
        return jax.tree.map(lambda a: np.asarray(a)[::-1], x)

    xs, taps = mirrored((free.xs, free.taps))
    reset, mask, on_hs = mirrored((given.reset, given.mask, given.on_hs))
    want = zoo.run(name)(
        free._replace(xs=xs, taps=taps),
        given._replace(reset=reset, mask=mask, on_hs=on_hs),
    )
    xs, taps = mirrored((want.grads.xs, want.grads.taps))
    grads = want.grads._replace(xs=xs, taps=taps)
    close(got, zoo.Result(want.state, mirrored(want.hs), grads))


@pytest.mark.parametrize("name", ["tanh", "lstm", "gru"])
def test_plain_scan_is_the_python_loop(name):
    got = zoo.run(name, "scanned")(*zoo.window(name))
    close(got, zoo.oracle(name))


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_what_is_computed_anew_is_what_would_have_been_kept(name):
    free, given = zoo.window(name)
    cell = zoo.cell_of(name)

    def loss(cell, free):
        events = Events(given.reset, given.mask, taps=free.taps)
        state, hs = unroll(cell, free.params, free.xs, free.state, events)
        return jnp.sum(given.on_hs * hs) + jnp.sum(given.on_state.h * state.h)

    kept, anew = (
        jax.jit(jax.grad(partial(loss, cell._replace(recompute=recompute))))(free)
        for recompute in (False, True)
    )
    close(anew, kept, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize("name", ["tanh", "lstm", "gru"])
def test_weights_as_the_left_factor_are_those_as_the_right(name, lanes, monkeypatch):
    """As they are where weights are large, or lanes one (lm.products)."""
    free, given = zoo.window(name)
    cell, xs = zoo.cell_of(name), free.xs[:, :lanes]
    state = jax.tree.map(lambda s: s[:lanes], free.state)

    def loss(params, xs):
        _, hs = unroll(cell, params, xs, state)
        return jnp.sum(given.on_hs[:, :lanes] * hs)

    def gradient():
        lowered = jax.jit(jax.grad(loss, (0, 1))).lower(free.params, xs)
        return lowered.as_text().count("optimization_barrier"), lowered.compile()

    small, plain = gradient()
    own = int(cell.recompute)  # what it reads before it writes over it
    assert small == own + (0 if lanes > 1 else 2)  # backwards, two in the loop
    monkeypatch.setattr(products, "LARGE", 0)
    monkeypatch.setattr(products, "PAID_AFTER", 0)
    large, left = gradient()
    assert large == own + (4 if lanes > 1 else 2)
    close(left(free.params, xs), plain(free.params, xs), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", ["min_gru"])
def test_all_steps_at_once_are_the_python_loop(name, reverse):
    """The associative scan, resets, padding and taps folded into its coefficients."""
    at = zoo.window(name)
    got = zoo.run(name, "associated", reverse)(*at)
    close(got, zoo.oracle(name, reverse), rtol=1e-5, atol=1e-5)
    got = zoo.run(name, "scanned", reverse)(*at)
    close(got, zoo.oracle(name, reverse), rtol=1e-5, atol=1e-5)


@of_each_form
def test_without_events_too(name):
    free, given = zoo.no_events(*zoo.window(name))
    close(zoo.run(name)(free, given), zoo.oracle(name, events=False))


@of_each_form
def test_values_and_gradients_shapes_and_dtypes(name):
    window = zoo.window(name)
    for dtype in (jnp.float32, jnp.bfloat16, jnp.float64):
        with jax.enable_x64(dtype == jnp.float64):
            free, given = jax.tree.map(lambda x, d=dtype: jnp.asarray(x, d), window)
            result = jax.eval_shape(zoo.run(name), free, given)
        assert result.hs.shape == (T, B, H) and result.hs.dtype == dtype
        for like, got in ((free, result.grads), (free.state, result.state)):
            assert jax.tree.map(jnp.shape, like) == jax.tree.map(jnp.shape, got)
            assert all(x.dtype == dtype for x in jax.tree.leaves(got))


@of_each_form
def test_bfloat16_is_near_float32(name):
    low, given = zoo.no_events(*zoo.window(name))
    low = jax.tree.map(lambda x: jnp.asarray(x, jnp.bfloat16), low)
    _, hs = unroll(zoo.cell_of(name), low.params, low.xs, low.state)
    want = zoo.oracle(name, events=False).hs
    assert np.abs(np.asarray(hs, np.float32) - want).max() < 0.05 * np.abs(want).max()


@of_each_form
def test_second_call_does_not_compile(name):
    run = zoo.run(name)
    run(*zoo.window(name))
    before = run._cache_size()
    run(*zoo.window(name, seed=1))
    assert run._cache_size() == before


@of_each_form
def test_window_after_window_is_the_whole(name):
    """Values, and the gradient when the second's is handed back to the first."""
    free, given = zoo.window(name, steps=2 * T)
    whole = zoo.run(name, "looped")(free, given)

    def half(x, first):
        return jax.tree.map(lambda a: a[:T] if first else a[T:], x)

    def part(first, state, on_state):
        cut = half((free.xs, free.taps, given.reset, given.mask, given.on_hs), first)
        xs, taps, reset, mask, on_hs = cut
        given_part = given._replace(
            reset=reset, mask=mask, on_hs=on_hs, on_state=on_state
        )
        return zoo.run(name)(free._replace(xs=xs, taps=taps, state=state), given_part)

    middle = part(True, free.state, given.on_state).state
    second = part(False, middle, given.on_state)
    first = part(True, free.state, second.grads.state)
    close(second.state, whole.state)
    close(np.concatenate([first.hs, second.hs]), whole.hs)
    params = jax.tree.map(jnp.add, first.grads.params, second.grads.params)
    close(params, whole.grads.params, rtol=1e-4, atol=1e-5)
    close(first.grads.state, whole.grads.state)
    # The gradient of a tap is ∂L/∂h_t: that of starting again from h_t, and what
    # the loss says of h_t itself.
    at_middle = jax.tree.map(lambda tap: tap[T - 1], whole.grads.taps)
    again = second.grads.state
    close(at_middle, again._replace(h=again.h + given.on_hs[T - 1]))


@of_each_form
def test_padding_passes_the_state_through_whatever_it_holds(name):
    free, given = zoo.window(name)
    taps = jax.tree.map(lambda tap: 0 * tap, free.taps)
    given = given._replace(reset=np.zeros((T, B), bool))
    free = free._replace(taps=taps)
    garbage = np.where(given.mask[..., None] > 0, free.xs, 1e3).astype(np.float32)
    one, other = (zoo.run(name)(free._replace(xs=x), given) for x in (free.xs, garbage))
    close(other, one, rtol=0, atol=0)
    hs = np.concatenate([free.state.h[None], one.hs])
    padded = given.mask == 0
    np.testing.assert_array_equal(hs[1:][padded], hs[:-1][padded])
    assert np.all(np.asarray(one.grads.xs)[padded] == 0)


@of_each_form
def test_reset_is_a_fresh_start(name):
    """As if the lane began there: padding until then, from the initial state."""
    free, given = zoo.window(name)
    free = free._replace(taps=jax.tree.map(np.zeros_like, free.taps))
    at, lane, late = 2, 0, np.arange(T)[:, None] >= 2
    given = given._replace(
        reset=np.arange(T)[:, None] == np.where(np.arange(B) == lane, at, -1)[None],
        mask=np.ones((T, B), np.float32),
        on_hs=given.on_hs * late[..., None],
    )
    got = zoo.run(name)(free, given)
    start = zoo.cell_of(name).initial_state(free.params, B)
    alone = given._replace(reset=np.zeros((T, B), bool), mask=late * given.mask)
    want = zoo.run(name)(free._replace(state=start), alone)

    def of_lane(r):
        return r.hs[at:, lane], r.grads.xs[:, lane], [s[lane] for s in r.state]

    close(of_lane(got), of_lane(want))
    # Nothing before the reset is to blame for anything after it.
    assert np.all(np.asarray(got.grads.xs)[:at, lane] == 0)
    assert all(np.all(np.asarray(s)[lane] == 0) for s in got.grads.state)
    assert np.abs(np.asarray(got.grads.xs)[at:, lane]).max() > 0


@of_each_form
def test_ids_are_one_hot_rows(name):
    free, given = zoo.window(name)
    ids = np.arange(T * B).reshape(T, B) * 3 % D
    one_hot = free._replace(xs=np.eye(D, dtype=np.float32)[ids])
    wide = zoo.run(name)(one_hot, given)
    thin = zoo.run(name, "looped")(free, given._replace(ids=ids))
    assert not np.any(thin.grads.xs)
    narrow = wide._replace(grads=wide.grads._replace(xs=thin.grads.xs))
    close(thin, narrow)


@of_each_form
def test_the_future_is_not_seen(name):
    """∂h_t/∂x_s = 0 exactly for s after t, and not 0 from t back to the start."""
    free, given = zoo.window(name)
    given = given._replace(
        reset=np.zeros((T, B), bool),
        mask=np.ones((T, B), np.float32),
        on_state=jax.tree.map(np.zeros_like, given.on_state),
    )
    for reverse in (False, True):
        for t in (0, 2, T - 1):
            now = (np.arange(T) == t)[:, None, None].astype(np.float32)
            at = given._replace(on_hs=given.on_hs * now)
            grads = zoo.run(name, reverse=reverse)(free, at).grads
            size = np.abs(grads.xs).max((1, 2))
            seen = np.arange(T) >= t if reverse else np.arange(T) <= t
            assert np.all(size[~seen] == 0), (t, size)
            assert size[t] > 0


@of_each_form
def test_taps_give_the_gradient_of_the_state_at_every_step(name):
    """∂L/∂h_t of the last output alone, by starting again from each h_t."""
    free, given = zoo.window(name)
    given = given._replace(
        reset=np.zeros((T, B), bool),
        mask=np.ones((T, B), np.float32),
        on_hs=given.on_hs * (np.arange(T) == T - 1).astype(np.float32)[:, None, None],
    )
    free = free._replace(taps=jax.tree.map(np.zeros_like, free.taps))
    got = zoo.run(name)(free, given).grads
    for t in range(T - 1):
        until = np.arange(T)[:, None] <= t
        first = given._replace(mask=given.mask * until)
        state = zoo.run(name)(free, first).state
        rest = given._replace(mask=given.mask * ~until)
        again = zoo.run(name)(free._replace(state=state), rest).grads.state
        close(jax.tree.map(lambda tap, t=t: tap[t], got.taps), again)


@pytest.mark.parametrize("name", ["tanh", "gru", "gru_reset_before"])
def test_vmap_over_parameters(name):
    runs = [zoo.window(name, seed) for seed in (0, 1)]
    frees, givens = zip(*runs, strict=True)
    stacked = jax.tree.map(lambda *x: np.stack(x), *frees)
    together = jax.jit(jax.vmap(zoo.run(name), (0, None)))(stacked, givens[0])
    for n, free in enumerate(frees):
        alone = zoo.run(name)(free, givens[0])
        close(jax.tree.map(lambda x, n=n: x[n], together), alone)


@of_each_form
@pytest.mark.usefixtures("no_leaks")
def test_no_tracer_leaks(name):
    jax.eval_shape(zoo.run(name).__wrapped__, *zoo.window(name))


def test_gradient_of_the_gradient():
    """The deferred backward pass can itself be differentiated in reverse."""
    free, given = zoo.no_events(*zoo.window("tanh"))

    def slope(driver, params):
        at = free._replace(params=params)
        grads, _ = jax.grad(zoo.loss, 3, has_aux=True)("tanh", driver, False, at, given)
        return sum(jnp.sum(jnp.sin(g)) for g in jax.tree.leaves(grads))

    got, want = (
        jax.jit(jax.grad(partial(slope, driver)))(free.params)
        for driver in ("default", "scanned")
    )
    close(got, want, rtol=1e-4, atol=1e-4)


def test_the_reverse_scan_writes_over_what_it_has_read():
    """Of a cell that makes its gates anew: not two arrays as large as r."""
    steps, lanes, hidden = 40, 8, 32
    cell = make_cell("lstm", hidden)
    params = cell.init(jax.random.key(0), 5)
    state = cell.initial_state(params, lanes)

    def loss(params, zs):
        return jnp.sum(unroll_projected(cell, params, zs, state)[1] ** 2)

    zs = jnp.ones((steps, lanes, 4 * hidden))
    compiled = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(params, zs).compile()
    planned = compiled.memory_analysis()
    assert planned and planned.temp_size_in_bytes < 1.5 * zs.nbytes
