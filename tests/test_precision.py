"""Products in bfloat16 against the same products of rounded factors, in NumPy; programs
that keep float32 elsewhere; gradients near those in float32."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from jax import lax

from lm.config import ConfigError, ModelConfig, OptimConfig
from lm.models.language_model import build
from lm.parallel import make_mesh, make_shared_train_step
from lm.population import make_population_step
from lm.precision import bfloat16_products, in_precision, programs_in
from lm.train import init_state, make_gradient, make_train_step, numbers_of
from lm.types import Batch
from tests.zoo import close

pytestmark = pytest.mark.usefixtures("strict")
V, T, B, H = 23, 6, 4, 16
BFLOAT16 = OptimConfig("sgd", 0.1, precision="bfloat16")

# name: (shapes of the factors, einsum)
PRODUCTS = {
    "x·w": (((5, 8), (8, 12)), "nd,dg->ng"),
    "δ·wᵀ": (((5, 12), (8, 12)), "ng,dg->nd"),
    "xᵀ·δ": (((5, 8), (5, 12)), "nd,ng->dg"),
    "one lane": (((1, 8), (8, 12)), "nd,dg->ng"),
    "all steps": (((3, 5, 8), (8, 12)), "tbd,dg->tbg"),
    "sums over steps and lanes": (((3, 5, 8), (3, 5, 12)), "tbd,tbg->dg"),
    "stacks": (((3, 5, 8), (3, 8, 12)), "nij,njk->nik"),
    "stacks in the middle": (((5, 3, 8), (12, 8, 3)), "inj,kjn->nki"),
    "one dimension behind another": (((8, 5), (12, 8)), "dn,gd->ng"),
}
# Of each form of a cell, and of what stands inside their loops: a lane's own matrices,
# products of products, kinks, matrices that are made of parameters.
CELLS = ["tanh", "lstm", "gru", "gru_reset_before", "mgu", "rhn", "scrn", "slstm"]
CELLS += ["min_gru", "s5", "sru", "mlstm", "gated_delta_net", "antisymmetric"]


def factors(shapes) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.normal(size=shape).astype(np.float32) for shape in shapes]


def rounded(x: np.ndarray) -> np.ndarray:
    return x.astype(ml_dtypes.bfloat16).astype(np.float64)


def products_of(function, *args) -> list[tuple[str, ...]]:
    """The types of the factors of all products in a function's program for which no
    precision is asked."""

    def inside(jaxpr):
        for operation in jaxpr.eqns:
            params = operation.params
            if operation.primitive.name == "dot_general" and not params["precision"]:
                yield tuple(str(x.aval.dtype) for x in operation.invars)
            for value in operation.params.values():
                for body in programs_in(value):
                    yield from inside(getattr(body, "jaxpr", body))

    return list(inside(jax.make_jaxpr(function)(*args).jaxpr))


def problem_of(cell: str = "lstm", layers: int = 1):
    model = ModelConfig(cell=cell, hidden=H, embedding=H, layers=layers)
    return build(model, V).problem


def batch_of(seed: int = 0) -> Batch:
    ids = np.random.default_rng(seed).integers(0, V, (T + 1, B), np.int32)
    mask = np.ones((T, B), np.float32)
    mask[4:, 1] = 0
    return Batch(ids[:-1], ids[1:], mask, np.ones(B, bool))


def gradients(problem, optim) -> tuple[list, Any]:
    """Gradient and loss of a batch."""
    params = problem.init(jax.random.key(0), None)
    gradient = jax.jit(make_gradient(problem, optim))
    raw, (_, total) = gradient(params, problem.carry(params, B), batch_of(), None, None)
    return jax.tree.leaves(raw), total.mean()


def distance(ones, others) -> float:
    """|a − b| / |b| over all leaves."""
    square = sum(
        float(jnp.sum((a - b) ** 2)) for a, b in zip(ones, others, strict=True)
    )
    return (square / sum(float(jnp.sum(b**2)) for b in others)) ** 0.5


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product_is_that_of_rounded_factors(name):
    shapes, form = PRODUCTS[name]
    a, b = factors(shapes)
    way = partial(jnp.einsum, form)
    found = jax.jit(bfloat16_products(way))(a, b)
    assert found.dtype == jnp.float32
    close(found, np.einsum(form, rounded(a), rounded(b)), rtol=1e-5, atol=1e-5)
    assert distance([found], [way(a, b)]) > 1e-4  # and not that of the factors


@pytest.mark.parametrize(
    "way",
    [
        lambda x, w: jnp.matmul(x, w, precision="highest"),
        lambda x, w: x @ w[:, 0],
        lambda x, w: jnp.vdot(x[0], w[:, 0]),
        lambda x, w: jnp.linalg.solve(w[:, :8] + 9 * jnp.eye(8), x.T),
    ],
    ids=["asked for a precision", "with a vector", "of vectors", "solved"],
)
def test_what_stays_in_float32(way):
    args = factors(PRODUCTS["x·w"][0])
    close(bfloat16_products(way)(*args), way(*args), rtol=1e-6, atol=1e-6)


def test_products_of_double_precision_stay(x64):
    args = [x.astype(np.float64) for x in factors(PRODUCTS["x·w"][0])]
    assert set(products_of(bfloat16_products(jnp.matmul), *args)) == {
        ("float64", "float64")
    }


def test_products_inside_of_loops_and_branches():
    x, w = jnp.ones((3, 4)), 0.1 * jnp.ones((4, 4))

    def way(x, w):
        once = jax.jit(jnp.matmul)(x, w)
        chosen = lax.cond(once[0, 0] > 1, lambda y: y @ w, lambda y: y, once)
        by_count = lax.fori_loop(0, 3, lambda _, y: y @ w, chosen)
        until = lax.while_loop(lambda y: (y @ w)[0, 0] > 1, lambda y: y @ w, by_count)
        kept = jax.checkpoint(lambda y: y @ w)(until)
        return lax.scan(lambda y, _: (y @ w, y), kept, length=2)

    found = products_of(bfloat16_products(way), x, w)
    assert len(found) == len(products_of(way, x, w)) == 7
    assert set(found) == {("bfloat16", "bfloat16")}
    last, all_of_them = jax.jit(bfloat16_products(way))(x, w)
    close(last, way(x, w)[0], rtol=0.02)
    assert all_of_them.shape == (2, 3, 4)


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_are_near_those_in_float32(cell):
    problem = problem_of(cell)
    ours, loss = gradients(problem, BFLOAT16)
    theirs, loss_theirs = gradients(problem, OptimConfig())
    assert all(x.dtype == jnp.float32 for x in ours)
    assert distance(ours, theirs) < 0.02
    assert abs(loss - loss_theirs) < 1e-3


def test_a_gradient_has_no_other_products():
    problem = problem_of("lstm", layers=2)
    params = problem.init(jax.random.key(0), None)
    given = params, problem.carry(params, B), batch_of(), None, None
    for precision in ("float32", "bfloat16"):
        optim = OptimConfig(precision=precision)
        found = products_of(make_gradient(problem, optim), *given)
        assert set(found) == {(precision, precision)}


@pytest.mark.parametrize("changes", [{"truncation": 2}, {"omega": 0.5}], ids=str)
def test_truncation_and_omega_have_it_too(changes):
    optim = dataclasses.replace(BFLOAT16, **changes)
    whole = dataclasses.replace(optim, precision="float32")
    ours, _ = gradients(problem_of("tanh"), optim)
    theirs, _ = gradients(problem_of("tanh"), whole)
    assert 1e-5 < distance(ours, theirs) < 0.01


@pytest.fixture(scope="module")
def step():
    """(problem, numbers, state before, batch, (state, info) after a step)."""
    problem = problem_of("gru", layers=2)

    class Given:
        model, optim = ModelConfig(), BFLOAT16

    numbers = numbers_of(Given)
    state = init_state(problem, BFLOAT16, numbers, jax.random.key(1), B)
    given = state, batch_of(), jax.random.key(2), numbers
    return problem, given, jax.jit(make_train_step(problem, BFLOAT16))(*given)


def test_a_member_of_a_population_has_its_own_numbers(step):
    problem, given, (alone, info) = step
    stacked = jax.tree.map(lambda x: jnp.stack([jnp.asarray(x)] * 2), given)
    states, infos = jax.jit(make_population_step(problem, BFLOAT16))(*stacked)
    close(infos.gradients_P[1], info.gradients_P, rtol=1e-3)
    for ours, own in zip(
        jax.tree.leaves(states.params), jax.tree.leaves(alone.params), strict=True
    ):
        close(ours[1], own, rtol=1e-2, atol=1e-3)


def test_devices_share_a_batch(step):
    problem, given, (_, info) = step
    mesh = make_mesh(jax.devices()[:2])
    shared = jax.jit(make_shared_train_step(problem, BFLOAT16, mesh))
    close(shared(*given)[1].gradients_P, info.gradients_P, rtol=1e-2)
    found = products_of(make_shared_train_step(problem, BFLOAT16, mesh), *given)
    assert set(found) == {("bfloat16", "bfloat16")}


def test_float32_is_the_function_itself():
    assert in_precision("float32", jnp.matmul) is jnp.matmul


def test_a_precision_that_is_none():
    with pytest.raises(ConfigError, match="optim.precision 'float16' is unknown"):
        OptimConfig(precision="float16")  # type: ignore[arg-type]
