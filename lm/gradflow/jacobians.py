"""Jacobians of the recurrence: how much one step, and many, stretch the state.

J_t = ∂s_t/∂s_{t−1} along a sequence, s being the whole state of a lane as a vector of
N numbers (`lm.gradflow.transitions`). Backpropagation multiplies them: ∂s_t/∂s_k =
J_t·J_{t−1}···J_{k+1} (Pascanu, Mikolov & Bengio 2013, equation 5). Gradients vanish
where the singular values of the product fall to 0 and explode where they rise.
"""

import jax
import jax.numpy as jnp
from jax import lax

from lm.gradflow.transitions import Transition, on_vectors, trajectory, vectors
from lm.types import Array, Cell, Params, State


def step_jacobians(transition: Transition, state: State, xs: Array) -> Array:
    """J_t of every step and lane: (T, B, N, N), entry [t, b, i, j] = ∂s_t,i/∂s_{t−1},j.

    xs  (T, B, …), what the transition reads. Cost: N backward passes through each
    step and T·B·N² numbers; hand in fewer lanes or steps if that is too much.
    """
    step, flatten = on_vectors(transition, state), vectors(state).flatten
    before = jax.vmap(flatten)(trajectory(transition, state, xs))
    jacobian = jax.vmap(jax.jacrev(step))
    return lax.map(lambda at: jacobian(*at), (before, xs))


def singular_values(jacobians: Array) -> Array:
    """Singular values of (…, N, N) matrices, falling: (…, N). Cost: O(N³) a matrix."""
    return jnp.linalg.svd(jacobians, compute_uv=False)


def product_singular_values(jacobians_TNN: Array, sweeps: int = 4) -> Array:
    """ln of the singular values of J_T ··· J_2·J_1, falling: (N,), −inf for 0.

    In log space, so that neither .5²⁰⁰⁰ nor values that lie hundreds of orders apart
    are lost. A first sweep writes the product as Q·R_T···R_1·Vᵀ by one QR decomposition
    a step, V being the right singular vectors of the plain, rescaled product, as far as
    float32 can tell them apart. The transposed triangles are a product again, and
    another sweep over them turns its factors nearer to diagonal; their diagonals'
    logarithms, summed, go to those of the singular values by a factor (σ_{i+1}/σ_i)² a
    sweep (Stewart 1995, "On graded QR decompositions of products of matrices"; it is
    the QR iteration on PᵀP).

    Cost: (1 + sweeps)·T decompositions of N×N matrices and T·N² numbers.
    """
    n = jacobians_TNN.shape[-1]
    identity = jnp.eye(n, dtype=jacobians_TNN.dtype)

    def multiply(product, factor):
        product = jnp.matmul(factor, product, precision="highest")
        tiny = jnp.finfo(product.dtype).tiny
        return product / jnp.maximum(jnp.linalg.norm(product), tiny), None

    product, _ = lax.scan(multiply, identity, jacobians_TNN)
    triangles = _triangles(jacobians_TNN, jnp.linalg.svd(product)[2].T)

    def sweep(triangles, _):
        return _triangles(jnp.swapaxes(triangles, 1, 2)[::-1], identity), None

    triangles, _ = lax.scan(sweep, triangles, length=sweeps)
    return jnp.sort(_log_diagonals(triangles).sum(0), descending=True)


def _triangles(factors_TNN: Array, q_NN: Array) -> Array:
    """R_t with J_t·Q_{t−1} = Q_t·R_t from Q_0 on: J_T···J_1·Q_0 = Q_T·R_T···R_1."""

    def body(q, factor):
        q, r = jnp.linalg.qr(jnp.matmul(factor, q, precision="highest"))
        return q, r

    return lax.scan(body, q_NN, factors_TNN)[1]


def _log_diagonals(triangles: Array) -> Array:
    """ln|R_ii| of (…, N, N): (…, N)."""
    return jnp.log(jnp.abs(jnp.diagonal(triangles, axis1=-2, axis2=-1)))


def recurrent_blocks(params: Params, cell: Cell) -> Array:
    """The recurrent matrices of a cell, one per gate: (k, H, H), in packed order.

    A factored cell's matrix, as it multiplies; else those of `Cell.recurrent` that are
    made of H×H blocks. Empty where there are none.
    """
    H = cell.d_hidden
    named = [params[name] for name in cell.recurrent]
    whole = [cell.w_HG(params)] if named and cell.w_HG is not None else named
    matrices = [w for w in whole if w.ndim == 2]
    square = [w for w in matrices if len(w) == H and w.shape[1] % H == 0]
    blocks = [block for w in square for block in jnp.split(w, w.shape[1] // H, 1)]
    return jnp.stack(blocks) if blocks else jnp.zeros((0, H, H))


def spectral_radius(params: Params, cell: Cell) -> Array:
    """The largest |eigenvalue| of each gate's recurrent matrix: (k,)."""
    return jax.vmap(radius)(recurrent_blocks(params, cell))


def spectral_norm(params: Params, cell: Cell) -> Array:
    """The largest singular value of each gate's recurrent matrix: (k,)."""
    return jnp.max(singular_values(recurrent_blocks(params, cell)), axis=-1)


def radius(w_HH: Array, squarings: int = 20) -> Array:
    """ρ(W) = lim ‖Wᵏ‖^{1/k} (Gelfand 1941), at k = 2^squarings.

    Squared and rescaled in turn, ln‖Wᵏ‖ kept apart: no eigenvalue routine, which not
    every accelerator has. Cost: `squarings` products of H×H.
    """

    def square(carry, number):
        w, log_radius = carry
        norm = jnp.linalg.norm(w)
        w = w / jnp.maximum(norm, jnp.finfo(w.dtype).tiny)
        log_radius = log_radius + jnp.log(norm) * 0.5**number
        return (jnp.matmul(w, w, precision="highest"), log_radius), None

    start = (w_HH, jnp.zeros((), w_HH.dtype))
    numbers = jnp.arange(squarings + 1).astype(w_HH.dtype)
    return jnp.exp(lax.scan(square, start, numbers)[0][1])
