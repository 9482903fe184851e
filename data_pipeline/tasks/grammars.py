"""Embedded Reber grammar, aⁿbⁿ, Dyck words."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from data_pipeline.tasks.task import Task, checked, everywhere
from lm.types import Array, Batch

# --- Embedded Reber grammar (Reber 1967; Hochreiter & Schmidhuber 1997) ------------

LETTERS = "BTPSXVE"
# From each state two ways, taken with equal chance: (letter, next state).
REBER = {
    0: (("B", 1), ("B", 1)),
    1: (("T", 2), ("P", 3)),
    2: (("S", 2), ("X", 4)),
    3: (("T", 3), ("V", 5)),
    4: (("X", 3), ("S", 6)),
    5: (("P", 4), ("V", 6)),
    6: (("E", 7), ("E", 7)),
}
END = 7
LEAST_LEFT = (7, 6, 5, 5, 4, 4, 3, 2)  # steps from a state to the embedded end
SHORTEST_REBER = 9  # inputs of B T, B T X S E, T: one step more ends it with E

_LETTER = np.array([[LETTERS.index(w) for w, _ in ways] for ways in REBER.values()])
_NEXT = np.array([[after for _, after in ways] for ways in REBER.values()])
_LEFT = np.array(LEAST_LEFT)[_NEXT]


def _sample_reber(key: Array, batch: int, steps: int) -> Batch:
    checked("embedded_reber", batch, steps, SHORTEST_REBER)
    outer_key, walk_key = jax.random.split(key)
    outer_B = jax.random.randint(outer_key, (batch,), 1, 3)  # T or P
    coins_TB = jax.random.bernoulli(walk_key, shape=(steps - 1, batch)).astype(int)
    letter_72, next_72, left_72 = map(jnp.asarray, (_LETTER, _NEXT, _LEFT))
    last = LETTERS.index("E")

    def walk(state_B: Array, step: tuple[Array, Array]) -> tuple[Array, Array]:
        coin_B, left = step
        inside_B = jnp.minimum(state_B, END - 1)
        fits = left_72[inside_B, coin_B] <= left
        way_B = jnp.where(fits, coin_B, left_72[inside_B].argmin(axis=-1))
        letter_B = letter_72[inside_B, way_B]
        after_B = next_72[inside_B, way_B]
        letter_B = jnp.where(state_B == END, outer_B, letter_B)
        letter_B = jnp.where(state_B > END, last, letter_B)
        return jnp.where(state_B >= END, state_B + 1, after_B), letter_B

    left_T = jnp.arange(steps - 1)[::-1]
    _, letters_TB = jax.lax.scan(walk, jnp.zeros(batch, int), (coins_TB, left_T))
    start_2B = jnp.stack([jnp.zeros_like(outer_B), outer_B])
    text_TB = jnp.concatenate([start_2B, letters_TB])
    # The string ends with the second E; what follows does not count.
    ended_TB = jnp.cumsum(text_TB == last, axis=0) >= 2
    return everywhere(text_TB[:-1], text_TB[1:], ~ended_TB[:-1])


def reber_floor(steps: int) -> float:
    """Nats per target of a predictor that follows the automaton but forgets whether
    the string began with T or P."""
    return reber_loss(steps, unknown=2)  # the letter at the start, and its echo


def reber_optimum(steps: int) -> float:
    """Nats per target of a predictor that forgets nothing."""
    return reber_loss(steps, unknown=1)


@functools.lru_cache
def reber_loss(steps: int, unknown: int) -> float:
    """Nats per target of one that follows the automaton and guesses so many of the two
    outer letters: exact, by the chances of each state at each step."""
    chance = {0: 1.0}
    choices, length = 0.0, 0.0
    for left in range(steps - 2, -1, -1):
        following: dict[int, float] = {}
        for state, p in chance.items():
            if state > END:  # the outer E has been given
                continue
            length += p
            if state == END:
                following[END + 1] = following.get(END + 1, 0.0) + p
                continue
            ways = [k for k in (0, 1) if _LEFT[state, k] <= left] or [
                int(_LEFT[state].argmin())
            ]
            if len(ways) == 2 and _NEXT[state, 0] != _NEXT[state, 1]:
                choices += p * math.log(2)
            for k in ways:
                after = int(_NEXT[state, k])
                following[after] = following.get(after, 0.0) + p / len(ways)
        chance = following
    # Two targets more, the outer letter at the start and E at the end.
    return (choices + unknown * math.log(2)) / (length + 2)


def _echo(batch: Batch) -> Array:
    """The last answer but one, which echoes the second letter: the others are open, or
    follow from recent letters."""
    left_TB = jnp.cumsum(batch.mask[::-1], axis=0)[::-1]
    return (left_TB == 2).astype(batch.mask.dtype) * batch.mask


EMBEDDED_REBER = Task(
    "embedded_reber",
    symbols=len(LETTERS),
    classes=len(LETTERS),
    sample=_sample_reber,
    length=lambda steps: steps,
    floor=reber_floor,
    shortest=SHORTEST_REBER,
    asks=_echo,
    padded=True,
    optimum=reber_optimum,
)
"""Strings B (T|P) reber (T|P) E, the second T or P the same as the first, with a walk
of the Reber automaton between: predict the next letter (ids by `LETTERS`). A walk that
would not end within T steps takes the shortest way out; shorter ones are padded."""

# --- aⁿbⁿ (Gers & Schmidhuber 2001) ------------------------------------------------

MARK, LETTER_A, LETTER_B = 0, 1, 2


def most(steps: int) -> int:
    """The largest n of aⁿbⁿ in `steps` steps."""
    return (steps - 1) // 2


def _sample_anbn(key: Array, batch: int, steps: int) -> Batch:
    checked("anbn", batch, steps, 3)
    n_1B = jax.random.randint(key, (1, batch), 1, most(steps) + 1)
    at_T1 = jnp.arange(steps + 1)[:, None]
    text_TB = jnp.where(
        at_T1 == 0,
        MARK,
        jnp.where(at_T1 <= n_1B, LETTER_A, jnp.where(at_T1 > 2 * n_1B, MARK, LETTER_B)),
    )
    counted_TB = (at_T1[:-1] > n_1B) & (at_T1[:-1] <= 2 * n_1B)
    return everywhere(text_TB[:-1], text_TB[1:], counted_TB)


def _anbn_floor(steps: int) -> float:
    p = 2 / (most(steps) + 1)  # of the end, among the targets after a b
    return 0.0 if p >= 1 else -p * math.log(p) - (1 - p) * math.log(1 - p)


ANBN = Task("anbn", 3, 3, _sample_anbn, lambda steps: steps, _anbn_floor, 3)
"""A mark (0), n times a (1), n times b (2), the mark again, n uniform up to ⌊(T-1)/2⌋.
Counted are the steps at a b, whose next symbol (b or mark) only counting can tell."""

# --- Dyck words of two kinds of brackets -------------------------------------------

BRACKETS = 2


def _sample_dyck(key: Array, batch: int, steps: int) -> Batch:
    checked("dyck", batch, steps, 2)
    if steps % 2:
        raise ValueError(f"task dyck: T is {steps}; balanced words have an even length")
    open_key, kind_key = jax.random.split(key)
    chance_TB = jax.random.uniform(open_key, (steps, batch))
    kind_TB = jax.random.randint(kind_key, (steps, batch), 0, BRACKETS)
    lanes = jnp.arange(batch)

    def step(
        carry: tuple[Array, Array], at: tuple[Array, Array, Array]
    ) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        depth_B, stack_SB = carry
        chance_B, kind_B, left = at
        # Of the ways to end balanced in `left` steps from depth d, the share that
        # opens now (ballot numbers): words of one length are equally likely.
        share_B = (left - depth_B) * (depth_B + 2) / (2 * left * (depth_B + 1))
        opens_B = chance_B < share_B
        top_B = stack_SB[jnp.maximum(depth_B - 1, 0), lanes]
        pushed_SB = stack_SB.at[depth_B, lanes].set(kind_B)
        stack_SB = jnp.where(opens_B, pushed_SB, stack_SB)
        kind_B = jnp.where(opens_B, kind_B, top_B)
        depth_B = depth_B + jnp.where(opens_B, 1, -1)
        return (depth_B, stack_SB), (kind_B, opens_B)

    stack_SB = jnp.zeros((steps // 2 + 1, batch), kind_TB.dtype)
    start = (jnp.zeros(batch, kind_TB.dtype), stack_SB)
    left_T = jnp.arange(steps, 0, -1)
    _, (kinds_TB, opens_TB) = jax.lax.scan(step, start, (chance_TB, kind_TB, left_T))
    word_TB = jnp.where(opens_TB, kinds_TB, BRACKETS + kinds_TB)
    targets_TB = jnp.where(opens_TB[1:], 0, kinds_TB[1:])
    return everywhere(word_TB[:-1], targets_TB, ~opens_TB[1:])


DYCK = Task(
    "dyck",
    symbols=2 * BRACKETS,
    classes=BRACKETS,
    sample=_sample_dyck,
    length=lambda steps: steps - 1,
    floor=lambda _: math.log(BRACKETS),
    shortest=2,
)
"""Uniform balanced words of two kinds of brackets (0 and 1 open, 2 and 3 close them):
of which kind is the next bracket, where it is a closing one? The floor is that of a
predictor that sees nothing at all."""
