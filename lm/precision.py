"""Matrix products in bfloat16, all else in float32.

    a·b  ->  bf16(a)·bf16(b), summed in float32

bfloat16 has the range of float32 and 8 of its 24 bits of precision, and processors
that know it multiply at twice the speed or more (AVX512-BF16 and AMX on CPUs; the
tensor cores of GPUs). Weights, states, gates, sums over steps, losses, gradients and
updates stay float32, so that nothing has to be rescaled (Micikevicius et al. 2018,
"Mixed precision training", §3.1; Kalamkar et al. 2019, "A study of bfloat16").

`bfloat16_products` rewrites the program of a function, after it was differentiated: no
cell knows of it. A product keeps float32 where the code asks for a precision
(`precision="highest"`), where a factor is a vector, and where it is no product of two
float32 arrays.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.layout import Layout, with_layout_constraint
from jax.extend.core import (
    ClosedJaxpr,  # type: ignore[reportPrivateImportUsage]  # Jaxpr itself from jax 0.12 on
    Jaxpr,
    JaxprEqn,
    Literal,
)

from lm.config import Precision
from lm.types import Array

CUSTOM = ("custom_jvp", "custom_vjp")  # whose derivatives have been taken by then


def in_precision(precision: Precision, function: Callable[..., Any]):
    """The function, its matrix products in that precision."""
    return bfloat16_products(function) if precision == "bfloat16" else function


def bfloat16_products(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of arrays with its matrix products in bfloat16.

    Not to be differentiated: apply it to the gradient. It may be vmapped and jitted.
    """

    def rewritten(*args: Any) -> Any:
        program, result = jax.make_jaxpr(function, return_shape=True)(*args)
        leaves = evaluate(program, jax.tree.leaves(args))
        return jax.tree.unflatten(jax.tree.structure(result), leaves)

    return rewritten


def evaluate(program: ClosedJaxpr, args: Sequence[Array]) -> list[Array]:
    """The program's results, operation by operation, products rewritten."""
    jaxpr = program.jaxpr
    known = dict(zip(jaxpr.constvars, program.consts, strict=True))
    known |= zip(jaxpr.invars, args, strict=True)

    def values(variables: Sequence[Any]) -> list[Array]:
        return [v.val if isinstance(v, Literal) else known[v] for v in variables]

    for operation in jaxpr.eqns:
        results = apply(operation, values(operation.invars))
        known |= zip(operation.outvars, results, strict=True)
    return values(jaxpr.outvars)


def apply(operation: JaxprEqn, xs: Sequence[Array]) -> Sequence[Array]:
    """The results of one operation on xs."""
    primitive, params = operation.primitive, operation.params
    if primitive.name == "dot_general" and is_cast(params, xs):
        return [product(xs[0], xs[1], params["dimension_numbers"])]
    inner = [body for value in params.values() for body in programs_in(value)]
    if primitive.name.startswith(CUSTOM):
        return evaluate(closed(inner[0]), xs)
    if any(map(has_products, inner)):
        params = {name: rewritten_in(value) for name, value in params.items()}
    results = primitive.bind(*xs, **params)
    return results if primitive.multiple_results else [results]


def is_cast(params: dict[str, Any], xs: Sequence[Array]) -> bool:
    """Whether this is a product of two float32 matrices, or stacks of them, for which
    no precision was asked."""
    over, stacked = params["dimension_numbers"]
    rank = [x.ndim - len(o) - len(s) for x, o, s in zip(xs, over, stacked, strict=True)]
    asked = params["precision"] not in (None, (lax.Precision.DEFAULT,) * 2)
    return not asked and min(rank) > 0 and all(x.dtype == jnp.float32 for x in xs)


def product(a: Array, b: Array, dimensions: Any) -> Array:
    """The product of bf16(a) and bf16(b), in float32."""
    a, b = a.astype(jnp.bfloat16), b.astype(jnp.bfloat16)
    if jax.default_backend() == "cpu":
        return product_by_rows(a, b, dimensions)
    return lax.dot_general(a, b, dimensions, preferred_element_type=jnp.float32)


def product_by_rows(a: Array, b: Array, dimensions: Any) -> Array:
    """The same of two factors that are laid in memory row by row first.

    XLA would rather fold a transposition, of a factor or of the result, into the
    product, which then goes at half the speed on a CPU, or is one that it lacks.
    """
    (over_a, over_b), (stacked_a, stacked_b) = dimensions
    free_a, free_b = (
        [axis for axis in range(x.ndim) if axis not in (*over, *stacked)]
        for x, over, stacked in ((a, over_a, stacked_a), (b, over_b, stacked_b))
    )

    def sizes(x, axes):
        return [x.shape[axis] for axis in axes]

    lead, shape = sizes(a, stacked_a), sizes(a, free_a) + sizes(b, free_b)
    length = math.prod(sizes(a, over_a))
    a = a.transpose(*stacked_a, *free_a, *over_a).reshape(*lead, -1, length)
    b = b.transpose(*stacked_b, *over_b, *free_b).reshape(*lead, length, -1)
    c = jnp.matmul(by_rows(a), by_rows(b), preferred_element_type=jnp.float32)
    return lax.optimization_barrier(c).reshape(*lead, *shape)


def by_rows(x: Array) -> Array:
    """An array as it lies in memory row by row."""
    return with_layout_constraint(x, Layout(major_to_minor=tuple(range(x.ndim))))


def programs_in(value: Any) -> list[ClosedJaxpr | Jaxpr]:
    """The programs that are, or stand in, a parameter of an operation."""
    if isinstance(value, ClosedJaxpr | Jaxpr):
        return [value]
    return [p for v in value for p in programs_in(v)] if type(value) is tuple else []


def rewritten_in(value: Any) -> Any:
    """The parameter with its programs rewritten."""
    if isinstance(value, ClosedJaxpr):
        return rewritten_program(value)
    if isinstance(value, Jaxpr):
        return rewritten_program(closed(value)).jaxpr
    return tuple(map(rewritten_in, value)) if type(value) is tuple else value


def rewritten_program(program: ClosedJaxpr) -> ClosedJaxpr:
    """The program with its products rewritten."""
    arrays: list[Any] = program.in_avals
    given = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in arrays]
    return jax.make_jaxpr(lambda *xs: evaluate(program, xs))(*given)


def closed(program: ClosedJaxpr | Jaxpr) -> ClosedJaxpr:
    """The program with its constants, of which a bare one has none."""
    return program if isinstance(program, ClosedJaxpr) else ClosedJaxpr(program, ())


def has_products(program: ClosedJaxpr | Jaxpr) -> bool:
    """Whether a product of arrays stands anywhere in it."""
    return any(
        operation.primitive.name == "dot_general"
        or any(
            has_products(body)
            for value in operation.params.values()
            for body in programs_in(value)
        )
        for operation in closed(program).jaxpr.eqns
    )
