"""CTC against enumeration of all paths: its loss, its gradient, and both searches."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm.ctc import BLANK, best_path, edit_distances, prefix_beam_search, string_nats

pytestmark = pytest.mark.usefixtures("strict")
RNG = np.random.default_rng(0)
T, V = 5, 3
LOGITS_TV = RNG.normal(size=(T, V)) * 2


def collapsed(path):
    """𝓑: repeats that follow each other made one, then blanks taken out."""
    one = [s for s, _ in itertools.groupby(path)]
    return tuple(s for s in one if s != BLANK)


def log_softmax(logits):
    return logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)


def every_string(logits_TV):
    """{string: (P, Σ over its paths of P(path)·(which sign each step has))}."""
    log_TV, found = log_softmax(logits_TV), {}
    for path in itertools.product(range(logits_TV.shape[1]), repeat=len(logits_TV)):
        chance = np.exp(sum(log_TV[t, s] for t, s in enumerate(path)))
        total, seen_TV = found.get(collapsed(path), (0.0, np.zeros(logits_TV.shape)))
        hit_TV = np.eye(logits_TV.shape[1])[list(path)]
        found[collapsed(path)] = total + chance, seen_TV + chance * hit_TV
    return found


STRINGS = every_string(LOGITS_TV)


def padded(strings, longest):
    labels = np.zeros((longest, len(strings)), np.int32)
    for lane, string in enumerate(strings):
        labels[: len(string), lane] = string
    return jnp.asarray(labels)


def test_loss_and_gradient_are_those_of_all_paths():
    """∂/∂logits = softmax − P(sign at t | string), all strings at once, one a lane; the
    last lane has padding behind its steps, which has no gradient."""
    strings = sorted(STRINGS)
    lanes = [LOGITS_TV] * len(strings) + [LOGITS_TV]
    logits_TBV = jnp.asarray(np.stack(lanes, axis=1), jnp.float32)
    mask_TB = jnp.ones(logits_TBV.shape[:2]).at[3:, -1].set(0)
    labels_SB = padded([*strings, (1, 2)], 5)

    def total(logits):
        nats_B = string_nats(logits, mask_TB, labels_SB)
        return jnp.sum(nats_B), nats_B

    gradient, nats_B = jax.grad(total, has_aux=True)(logits_TBV)
    for lane, string in enumerate(strings):
        chance, seen_TV = STRINGS[string]
        np.testing.assert_allclose(nats_B[lane], -np.log(chance), rtol=1e-5)
        wanted = np.exp(log_softmax(LOGITS_TV)) - seen_TV / chance
        np.testing.assert_allclose(gradient[:, lane], wanted, atol=2e-5)
    chance, seen_TV = every_string(LOGITS_TV[:3])[1, 2]
    np.testing.assert_allclose(nats_B[-1], -np.log(chance), rtol=1e-5)
    wanted = np.exp(log_softmax(LOGITS_TV[:3])) - seen_TV / chance
    np.testing.assert_allclose(gradient[:3, -1], wanted, atol=2e-5)
    assert not np.any(gradient[3:, -1])


def test_a_string_without_a_path_is_given_a_large_number_not_infinity():
    """Three steps have no path to (1, 1, 2): why data are checked beforehand."""
    labels_SB = padded([(1, 1, 2)], 3)
    nats_B = string_nats(jnp.zeros((3, 1, V)), jnp.ones((3, 1)), labels_SB)
    assert 9e4 < float(nats_B[0]) < 2e5


def chosen(score):
    return max(STRINGS, key=score)


def test_a_wide_beam_is_exact_and_a_narrow_one_is_greedy_no_more():
    log_TV = log_softmax(LOGITS_TV)
    found = prefix_beam_search(log_TV, len(STRINGS))
    assert len(found) == len(STRINGS)
    for one in found:
        wanted = np.log(STRINGS[one.symbols][0])
        assert one.log_probability == one.score == pytest.approx(wanted)
    assert found[0].symbols == chosen(lambda s: STRINGS[s][0])
    narrow = prefix_beam_search(log_TV, 2)
    assert len(narrow) == 2
    assert narrow[0].log_probability <= np.log(STRINGS[narrow[0].symbols][0]) + 1e-9


def test_best_path_is_not_the_best_string():
    """Graves 2012, figure 7.7: the blank is likeliest at both steps, 1 over all paths;
    best path and search differ, and the search is right."""
    log_TV = np.log([[0.6, 0.4], [0.6, 0.4]])
    path = best_path(jnp.asarray(log_TV, jnp.float32)[:, None], jnp.ones((2, 1)))
    assert not np.any(path)
    (first, *_) = prefix_beam_search(log_TV, 2)
    assert first.symbols == (1,)
    assert first.log_probability == pytest.approx(np.log(0.64))


@pytest.mark.parametrize("weight, bonus", [(0.7, 0.0), (1.5, 1.2), (0.0, -2.0)])
def test_a_prior_and_a_bonus_rank_as_they_say(weight, bonus):
    """ln P(y | x) + weight·ln P_prior(y) + bonus·|y|, over all strings."""

    def prior(prefix):
        likes = np.arange(V) + len(prefix) + 2.0 * (prefix[-1:] == (1,))
        return log_softmax(-((likes % 3) ** 2))

    def score(string):
        steps = [prior(string[:n])[s] for n, s in enumerate((*string, BLANK))]
        log = np.log(STRINGS[string][0])
        return log + weight * sum(steps) + bonus * len(string)

    found = prefix_beam_search(log_softmax(LOGITS_TV), 200, prior, weight, bonus)
    assert found[0].symbols == chosen(score)
    assert {f.symbols: pytest.approx(f.score) for f in found} == {
        string: score(string) for string in STRINGS
    }


def levenshtein(a, b):
    """The recursion of the definition."""
    if not a or not b:
        return len(a) + len(b)
    return min(
        levenshtein(a[1:], b) + 1,
        levenshtein(a, b[1:]) + 1,
        levenshtein(a[1:], b[1:]) + (a[0] != b[0]),
    )


def test_edit_distances_by_the_definition():
    """Strings that stand anywhere among the steps; an empty one on either side."""
    said = [tuple(RNG.integers(1, 4, n)) for n in (0, 1, 2, 3, 4, 5, 5, 4, 3)]
    labels = [tuple(RNG.integers(1, 4, n)) for n in (2, 0, 3, 3, 5, 1, 5, 4, 2)]
    said_TB = np.zeros((9, len(said)), np.int32)
    for lane, string in enumerate(said):
        places = np.sort(RNG.choice(9, len(string), replace=False))
        said_TB[places, lane] = string
    found_B = edit_distances(jnp.asarray(said_TB), padded(labels, 5))
    wanted = [levenshtein(a, b) for a, b in zip(said, labels, strict=True)]
    assert found_B.tolist() == wanted


def test_the_best_path_makes_one_of_repeats_and_ends_with_its_mask():
    steps = [1, 1, 0, 1, 2, 2, 1, 1]
    logits_TBV = 5.0 * jax.nn.one_hot(jnp.array(steps), V)[:, None]
    mask_TB = jnp.ones((8, 1)).at[6:].set(0)
    said_TB = best_path(logits_TBV, mask_TB)
    assert said_TB[:, 0].tolist() == [1, 0, 0, 1, 2, 0, 0, 0]
