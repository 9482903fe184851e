"""What linear cells and matrix memories are in closed form, and what they reduce to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lm.unroll
from lm import linear
from lm.adapters import flax_cell
from lm.cells import make_cell
from lm.cells.gated_delta_net import gated_delta_net
from lm.cells.heads import by_head
from lm.cells.hgrn import bounded
from lm.cells.hgrn2 import hgrn2
from lm.cells.lmu import legendre, recalled
from lm.cells.mlstm import mlstm
from lm.cells.s5 import hippo_frequencies
from lm.cells.slstm import slstm
from lm.config import InitConfig, ModelConfig, OptimConfig
from lm.gradflow import through_time
from lm.linear import sequential
from lm.losses import token_nats
from lm.models.language_model import build
from lm.train import init_state, make_train_step, norms, numbers_of
from lm.types import Batch
from lm.unroll import (
    Events,
    StepEvents,
    chunked,
    default_driver,
    scanned,
    unroll,
    unroll_projected,
)
from tests import zoo
from tests.steps import Whole
from tests.zoo import B, D, H, T, close

pytestmark = pytest.mark.usefixtures("strict")
RNG = np.random.default_rng(0)
V = 5


def test_the_lag_profile_of_rg_lru_is_the_product_of_its_decays():
    """∂ℓ/∂h_{o−k} = ∂ℓ/∂h_o ⊙ a_o ⊙ … ⊙ a_{o−k+1}: an oracle for `lag_norms`."""
    model = build(ModelConfig("rg_lru", 1, 4, 4), V)
    params = model.init(jax.random.key(0))
    ids, targets = RNG.integers(0, V, (2, T, B)).astype(np.int32)
    batch = Batch(ids, targets, np.ones((T, B), np.float32), np.ones(B, bool))
    state = model.initial_state(params, B)
    _, hs = model.apply(params, ids, state)

    def last(h_BH):
        return jnp.sum(token_nats(model.logits(params, h_BH), targets[-1]))

    own = jax.tree.map(np.asarray, params["layers"][0])
    xs = np.asarray(params["embedding"])[ids]
    u = xs @ own["w_x"] + own["b"]
    r = 1 / (1 + np.exp(-(np.asarray(by_head(u, own["w_r"])) + own["b_r"])))
    ρ = 1 / (1 + np.exp(own["decay"]))  # exp(−softplus(Λ))
    a_TBH = ρ ** (8 * r)
    reach, want = np.asarray(jax.grad(last)(hs[-1])), []
    for t in range(T)[::-1]:
        want.append(np.linalg.norm(reach, axis=-1))
        reach = reach * a_TBH[t]
    got = through_time.lag_norms(model.problem, params, state, batch)["0"]
    close(got, np.stack(want), rtol=1e-4, atol=1e-8)


class TestHeads:
    """A cell of two heads is two cells of one head, side by side."""

    def runs(self, make, packed, own, hs=True):
        """packed: widths of the projected input's pieces, by head; own: (params, n) ->
        those of head n."""
        init = InitConfig()
        whole, one = make(4, init, heads=2), make(2, init, heads=1)
        params = whole.init(jax.random.key(0), D)
        zs = RNG.normal(size=(T, B, 2 * sum(packed))).astype(np.float32)
        run = jax.jit(unroll_projected, static_argnums=0)
        state, all_hs = run(whole, params, zs, whole.initial_state(params, B))
        ends = np.cumsum([2 * width for width in packed])[:-1]
        for n in range(2):
            pieces = np.split(zs, ends, axis=-1)
            mine = np.concatenate([np.split(z, 2, -1)[n] for z in pieces], -1)
            begin = one.initial_state(params, B)
            alone, some_hs = run(one, own(params, n), mine, begin)
            for got, want in zip(state, alone, strict=True):
                width = want.shape[1]
                assert got.shape[1] == 2 * width
                close(got[:, n * width : (n + 1) * width], want)
            if hs:
                close(all_hs[..., 2 * n : 2 * n + 2], some_hs)

    @pytest.mark.slow
    def test_mlstm(self):
        self.runs(mlstm, (2, 2, 2, 2, 1, 1), lambda p, n: p)

    def test_gated_delta_net(self):
        def own(p, n):
            return p | {k: p[k][n : n + 1] for k in ("log_rate", "delta")}

        self.runs(gated_delta_net, (2, 2, 2, 2, 1, 1), own)

    def test_hgrn2(self):
        def own(p, n):
            return {k: v[2 * n : 2 * n + 2] for k, v in p.items() if v.ndim == 1}

        self.runs(hgrn2, (2, 2, 2), own, hs=False)

    def test_slstm(self):
        self.runs(slstm, (2, 2, 2, 2), lambda p, n: p | {"w_h": p["w_h"][n : n + 1]})

    def test_block_diagonal_products(self):
        w, xs = RNG.normal(size=(2, 3, 2)), RNG.normal(size=(4, 6))
        want = np.concatenate([xs[:, :3] @ w[0], xs[:, 3:] @ w[1]], 1)
        close(by_head(jnp.asarray(xs, jnp.float32), jnp.asarray(w, jnp.float32)), want)


STRETCHED = [name for name in zoo.DISTINCT if zoo.cell_of(name).stretch]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", STRETCHED)
@pytest.mark.usefixtures("x64")
def test_stretches_are_steps(monkeypatch, name, reverse):
    """The parallel form over two stretches and a half, resets and padding inside."""
    monkeypatch.setattr(lm.unroll, "STRETCH", 4)
    cell = make_cell(name, 4)
    free, given = jax.tree.map(lambda x: x.astype(float), zoo.window("lstm", steps=10))
    params = cell.init(jax.random.key(0), D)
    params = jax.tree.map(lambda x: x + 0.5 * RNG.normal(size=x.shape), params)
    like = cell.initial_state(params, B)
    state, on_state = (
        jax.tree.map(lambda s: jnp.asarray(RNG.normal(size=s.shape)), like)
        for _ in range(2)
    )
    on_hs = RNG.normal(size=(10, B, 4))

    def loss(driver, params, xs, state):
        events = Events(given.reset, given.mask)
        last, hs = unroll(
            cell, params, xs, state, events, reverse=reverse, driver=driver
        )
        ends = jax.tree.map(lambda w, s: jnp.sum(w * s), on_state, last)
        return jnp.sum(on_hs * hs) + sum(ends), (last, hs)

    def both(driver):
        of = jax.value_and_grad(loss, (1, 2, 3), has_aux=True)
        return jax.jit(of, static_argnums=0)(driver, params, free.xs, state)

    close(both(None), both(scanned), rtol=1e-9, atol=1e-10)
    with pytest.raises(ValueError, match="neither taps nor zoneout: use scanned"):
        unroll(cell, params, free.xs, state, Events(taps=like), driver=chunked)


def test_a_stretch_that_forgets_at_once_stays_finite():
    """f = 1e-4 over 32 steps: e^−F of single precision alone would be infinite."""
    cell = make_cell("hgrn2", 4)
    params = cell.init(jax.random.key(0), D) | {"bound": jnp.full(4, -9.2)}
    params["b"] = params["b"].at[:4].set(-20.0)
    xs = jnp.asarray(RNG.normal(size=(32, B, D)), jnp.float32)
    state = cell.initial_state(params, B)

    def loss(xs, driver):
        return jnp.sum(unroll(cell, params, xs, state, driver=driver)[1] ** 2)

    assert float(jnp.log(bounded(params, jnp.full(4, -20.0))).max()) * 32 < -88
    gradient = jax.jit(jax.value_and_grad(loss), static_argnums=1)
    close(*(gradient(xs, driver) for driver in (None, scanned)), rtol=1e-4, atol=1e-5)


def test_zoneout_of_single_units_is_taken_step_by_step():
    """A complex state's halves are kept one by one: no product of numbers any more."""
    free, given = zoo.window("lru")
    weights = jax.tree.map(lambda s: RNG.uniform(size=s.shape).astype("f"), free.taps)
    events = Events(given.reset, given.mask, weights)
    cell = zoo.cell_of("lru")
    got, want = (
        unroll(cell, free.params, free.xs, free.state, events, driver=driver)
        for driver in (None, scanned)
    )
    close(got, want)
    with pytest.raises(ValueError, match="take driver=lm.unroll.scanned"):
        unroll(cell, free.params, free.xs, free.state, events, driver=zoo.associated)


def test_legendre_polynomials_remember_a_slow_signal():
    """m holds the last θ steps, each to 1 %, of a signal of one period in θ."""
    window = 50.0
    A, B = legendre(12, window)
    t = np.arange(300)
    u = np.sin(2 * np.pi * t / window) + 0.5 * np.cos(t / window)
    m = np.zeros(12)
    for now in u:
        m = A @ m + B * now
    delays = np.array([0, 10, 25, 40, 50])
    got = np.array([recalled(m, delay / window) for delay in delays])
    np.testing.assert_allclose(got, u[-1 - delays], atol=0.1)


def test_sru_is_its_first_version_where_v_is_0_and_takes_x_itself_where_it_fits():
    xs = RNG.normal(size=(T, B, H)).astype(np.float32)
    full, first = make_cell("sru", H), make_cell("sru_v1", H)
    params = full.init(jax.random.key(0), H)
    assert params["w_x"].shape == (H, 3 * H)
    bare = {k: v for k, v in params.items() if k != "v"}
    wide = bare | {"w_x": jnp.concatenate([bare["w_x"], jnp.eye(H)], 1)}
    _, want = unroll(first, wide, xs, first.initial_state(wide, B))
    for cell, given in ((full, params | {"v": 0 * params["v"]}), (first, bare)):
        start = cell.initial_state(given, B)
        close(unroll(cell, given, xs, start)[1], want)


def test_hgrn_without_rotation_is_two_real_ones():
    free, _ = zoo.no_events(*zoo.window("hgrn"))
    params = dict(free.params, theta=0 * free.params["theta"])
    state, _ = unroll(zoo.cell_of("hgrn"), params, free.xs, free.state)
    real, free_real = zoo.cell_of("hgrn_real"), zoo.window("hgrn_real")[0]
    for n, field in enumerate(("re", "im")):
        blocks = np.r_[0:H, 0:H, (3 + n) * H : (4 + n) * H]
        one = dict(
            free_real.params,
            w_x=params["w_x"][:, blocks],
            b=params["b"][blocks],
            bound=params["bound"],
        )
        begin = free_real.state._replace(re=getattr(free.state, field))
        close(unroll(real, one, free.xs, begin)[0].re, getattr(state, field))


def test_only_a_beta_above_1_turns_a_memory_around():
    """Eigenvalues of the transition: α but for α·(1 − β) along the key."""
    smallest = {}
    for name in ("gated_delta_net", "gated_delta_net_negative"):
        free, cell = zoo.window(name)[0], zoo.cell_of(name)
        assert cell.coefficients
        (a,), _ = cell.coefficients(free.params, cell.project(free.params, free.xs))
        values = np.linalg.eigvalsh(np.asarray(a))
        assert abs(values).max() <= 1
        smallest[name] = values.min()
    assert smallest["gated_delta_net"] >= 0 > smallest["gated_delta_net_negative"]


class TestFirstParameters:
    """The authors' initialisations."""

    def draw(self, name, hidden=64):
        params = make_cell(name, hidden).init(jax.random.key(0), 8)
        return {k: np.asarray(v, np.float64) for k, v in params.items()}

    def test_rings(self):
        p = self.draw("lru", 500)
        radius = np.exp(-np.exp(p["nu"]))
        assert 0.9 <= radius.min() < 0.91 and 0.998 < radius.max() < 0.9991
        close(np.exp(p["gamma"]), np.sqrt(1 - radius**2), rtol=1e-3)
        assert np.exp(p["theta"]).max() <= 2 * np.pi
        ρ = np.exp(-np.log1p(np.exp(self.draw("rg_lru", 500)["decay"])))
        assert 0.9 <= ρ.min() < 0.91 and 0.998 < ρ.max() < 0.9991

    def test_hippo_frequencies_are_those_of_its_normal_part(self):
        n = np.arange(8)
        A = -np.sqrt(np.outer(2 * n + 1, 2 * n + 1)) * (n[:, None] > n) - np.diag(n + 1)
        normal = A + np.outer(np.sqrt(n + 0.5), np.sqrt(n + 0.5))
        values = np.linalg.eigvals(normal)
        close(values.real, np.full(8, -0.5), rtol=1e-6)
        close(hippo_frequencies(4), np.sort(values.imag)[4:], rtol=1e-6)

    def test_gates_of_xlstm(self):
        p = self.draw("slstm", 16)  # 4 heads of 4
        assert not p["w_h"].any()
        close(p["b"].reshape(4, 4, 4)[1][:, [0, -1]], np.tile([5.0, -7.0], (4, 1)))
        p = self.draw("mlstm", 16)
        assert not p["w_x"][:, 64:].any()
        close(p["b"][68:], np.array([3.0, 4, 5, 6]))

    def test_gated_delta_net(self):
        p = self.draw("gated_delta_net")
        step = np.log1p(np.exp(p["delta"]))
        assert 0.001 <= step.min() and step.max() <= 0.1
        assert np.exp(p["log_rate"]).max() <= 16


def test_a_readout_goes_up_in_flax_too():
    free, _ = zoo.no_events(*zoo.window("sru"))
    cell = zoo.cell_of("sru")
    _, hs = unroll(cell, free.params, free.xs, free.state)
    state, h = flax_cell(cell, free.params)(free.state, free.xs[0])
    close((state.r.shape, h), ((B, H), hs[0]))


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_what_learns_at_a_rate_of_its_own(optimizer):
    """ν, θ and γ of an LRU move a quarter as far as they would, the rest as far."""
    config, optim = ModelConfig("lru", 1, H, 4), OptimConfig(optimizer, 0.1)
    ids = RNG.integers(0, V, (T + 1, B)).astype(np.int32)
    batch = Batch(ids[:-1], ids[1:], np.ones((T, B), np.float32), np.ones(B, bool))
    numbers, moved, told = numbers_of(Whole(config, optim)), [], []
    with jax.numpy_dtype_promotion("standard"):
        for cell in (zoo.cell_of("lru"), zoo.cell_of("lru")._replace(rates=None)):
            problem = build(config, V, cell).problem
            key = jax.random.key(0)
            before = init_state(problem, optim, numbers, key, B)
            step = jax.jit(make_train_step(problem, optim))
            after, info = step(before, batch, key, numbers)
            moved.append(jax.tree.map(jnp.subtract, after.params, before.params))
            told.append(info.updates_P)
    slow, plain = moved
    for name, update in slow["layers"][0].items():
        share = 0.25 if name in ("nu", "theta", "gamma") else 1.0
        close(update, share * plain["layers"][0][name], rtol=2e-4, atol=1e-6)
    close(slow["embedding"], plain["embedding"])
    close(told[0], norms(slow), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("cell", "steps", "driver"),
    [
        ("lru", 63, sequential),
        ("lru", 64, zoo.associated),
        ("min_gru", 64, sequential),
        ("gated_delta_net", 64, chunked),
        ("mlstm", 64, chunked),
    ],
)
def test_the_loop_is_chosen_from_steps_device_and_product(
    cell, steps, driver, monkeypatch
):
    table = {jax.default_backend(): {"complex": 64, "matrices": 1}, "other": {}}
    monkeypatch.setattr(linear, "AT_ONCE_FROM", table)
    found = default_driver(make_cell(cell, 4), StepEvents(), steps)
    assert found is driver
    assert not linear.at_once(linear.COMPLEX, 10**6, "other")
    assert not linear.at_once(linear.COMPLEX, 10**6, "another")
