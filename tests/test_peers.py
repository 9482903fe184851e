"""Peers and this project's own sides: the same steps, texts, gradients, batches."""

import dataclasses

import jax
import numpy as np
import pytest

from data_pipeline.batches import Sentences
from data_pipeline.streams import Streams
from experiments.benchmark import peers, steps
from experiments.benchmark.common import random_batch
from experiments.peers import PEERS, SUITES, installed, readings, suites
from experiments.peers.apart import Apart
from experiments.peers.case import Absent, Case, in_bfloat16, stepper
from experiments.peers.ours import own_sides
from lm.config import ModelConfig, OptimConfig
from lm.gradflow.through_time import state_gradients
from lm.models.language_model import build
from tests.zoo import close

TINY = Case(
    7, 5, 3, ModelConfig(cell="lstm", layers=2, hidden=4, embedding=3), OptimConfig()
)


BATCH = random_batch(7, 5, 3)
ROW = {"command": "python", "seconds": 60, "hardware": {"cores": 2}}
ON_JAX = [peer for peer in PEERS if peer not in ("torch", "grain")]


def test_a_step_and_its_plain_twin_do_the_same():
    made = {name: make() for name, make in own_sides(TINY, BATCH).items()}
    assert list(made) == ["ours", "with_norms", "plain_scan"]
    for side in made.values():
        side()
    ours, *others = (jax.tree.leaves(side.state.params) for side in made.values())
    for other in others:
        for a, b in zip(ours, other, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)


def test_norms_are_measured_by_the_side_that_says_so_alone():
    made = {name: make() for name, make in own_sides(TINY, BATCH).items()}
    measured = {
        name: side.step(side.state, *side.given)[1] for name, side in made.items()
    }
    assert measured["ours"] is None and measured["plain_scan"] is None
    assert measured["with_norms"].weights_P.all()


def test_reading_by_each_side_gives_one_loss():
    """Another library's too, with this project's own cell behind its interface."""
    model = build(TINY.model, 7)
    params, case = model.init(jax.random.key(0)), TINY._replace(does="read")

    begin = model.initial_state(params, 3)
    sides = [make() for make in own_sides(case, BATCH).values()]
    sides.append(stepper(case, BATCH, params, begin, model.layer.apply))
    losses = [float(side.step(side.state, *side.given)[1]) for side in sides]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)


@pytest.mark.parametrize("peer", [None, *ON_JAX])
def test_what_is_written_are_tokens(peer):
    case = TINY._replace(does="write", steps=12)
    if peer is None:
        sides = [make() for make in own_sides(case, BATCH).values()]
    elif peer in installed():
        with jax.numpy_rank_promotion("allow"):
            sides = [installed()[peer].make(case, BATCH)]
            sides[0].compile()
    else:
        pytest.skip(f"{peer} is not installed")
    for side in sides:
        _, ids_TB = side.step(side.state, *side.given)
        assert ids_TB.shape == (12, 3) and 0 <= ids_TB.min() <= ids_TB.max() < 7
        assert len(np.unique(ids_TB)) > 1


def test_gradients_in_every_state_are_those_of_the_instrument():
    """By both drivers; of the peers PyTorch alone has them."""
    case = TINY._replace(does="trace")
    model = build(TINY.model, 7)
    params = model.init(jax.random.key(0))
    start = model.initial_state(params, 3)
    want = state_gradients(model.problem, params, start, BATCH)
    for make in own_sides(case, BATCH).values():
        side = make()
        _, got = side.step(side.state, *side.given)
        close(got, jax.tree.map(lambda g: g / case.denominator, want))
    for name, peer in installed().items():
        if name == "torch":
            call = peer.make(case, BATCH)
            call()
            call()
            call.close()
            continue
        with (
            jax.numpy_rank_promotion("allow"),
            pytest.raises(Absent, match="trace: (not by its layers|it reads data)"),
        ):
            peer.make(case, BATCH)


@pytest.mark.parametrize("embedding", [0, 3])
@pytest.mark.parametrize("peer", [*ON_JAX, "torch"])
def test_a_peer_takes_the_same_model_s_step(peer, embedding):
    """As many weight matrices as the operations that are counted, and a state that a
    step hands on in the shapes that it took."""
    if peer not in installed():
        pytest.skip(f"{peer} is not installed")
    model = dataclasses.replace(TINY.model, embedding=embedding)
    case = TINY._replace(model=model, optim=OptimConfig("sgd", 0.1))
    batch = random_batch(case.vocabulary, case.steps, case.lanes)
    with jax.numpy_rank_promotion("allow"):
        step = installed()[peer].make(case, batch)
        step()
    if isinstance(step, Apart):
        step.close()
        return
    params, _, carries = before = step.state
    with jax.numpy_rank_promotion("allow"):
        step()
    shapes = [jax.tree.map(lambda x: x.shape, s) for s in (before, step.state)]
    assert shapes[0] == shapes[1]
    matrices = sum(x.size for x in jax.tree.leaves(params) if x.ndim == 2)
    looked_up = 7 * embedding if embedding else 7 * 4 * 4
    assert suites.flop(case) == 6 * (matrices - looked_up) * case.steps * case.lanes
    assert len(jax.tree.leaves(carries)) == 4


@pytest.mark.parametrize("peer", [None, *ON_JAX])
def test_every_side_on_jax_multiplies_in_bfloat16_where_the_case_does(peer):
    for case, there in ((TINY, False), (in_bfloat16(TINY), True)):
        if peer is None:
            sides = [make() for make in own_sides(case, BATCH).values()]
        elif peer in installed():
            with jax.numpy_rank_promotion("allow"):
                sides = [installed()[peer].make(case, BATCH)]
        else:
            pytest.skip(f"{peer} is not installed")
        for side in sides:
            with jax.numpy_rank_promotion("allow"):
                program = side.step.trace(side.state, *side.given).jaxpr
            assert ("bf16" in str(program)) == there


def test_a_peer_without_a_cell_says_so():
    case = TINY._replace(model=dataclasses.replace(TINY.model, cell="mgu"))
    with pytest.raises(Absent, match="mgu"):
        installed()["flax"].make(case, random_batch(7, 5, 3))


def test_a_peer_in_a_process_of_its_own():
    batch = random_batch(7, 5, 3)
    step = Apart("experiments.peers.flax_nnx", TINY, batch)
    step()
    step()
    step.close()
    with pytest.raises(RuntimeError, match="ended: see above"):
        Apart("experiments.peers.nowhere", TINY, batch)
    without = TINY._replace(model=dataclasses.replace(TINY.model, cell="mgu"))
    with pytest.raises(Absent, match="mgu"):
        Apart("experiments.peers.flax_nnx", without, batch)


def test_cases_of_each_suite_have_every_peer_s_cells():
    assert set(suites.CASES) == set(SUITES)
    assert set(steps.CASES) < set(suites.lm_cases())
    for suite, cases in suites.CASES.items():
        for name, case in cases().items():
            assert suite == "data" or name.endswith(f" {case.model.cell}")
            assert not case.optim.truncation
            assert (suites.flop(case) > 0) == (suite != "data")


@pytest.mark.parametrize("does", ["windows", "sentences"])
def test_batches_hold_the_text_whoever_makes_them(does):
    """An epoch of each side's own pieces: as many tokens, the same after each other."""
    case = TINY._replace(vocabulary=50, lanes=20, steps=20, does=does)
    text = readings.text_of(case)
    assert len(text.ids) == case.tokens + 1 == text.starts[-1]
    assert np.diff(text.starts).min() >= 1 and text.starts[0] == 1
    if does == "windows":
        ours = Streams(text.ids, case.lanes, case.steps)
        assert readings.windows_in(case) == ours.steps * case.lanes
        pieces = [readings.window(case, text, n) for n in range(20, 40)]
        want = ours.batch_at(0, 0, 1)
        np.testing.assert_array_equal(np.stack([x for x, _ in pieces], 1), want.targets)
    else:
        ours = Sentences(text, 1, readings.LONGEST, shuffle=False)
        want = ours.batch_at(0, 0, 0)
        number = int((np.diff(text.starts) <= len(want.mask)).argmax())
        inputs, targets = readings.sentence(text, number)
        length = int(want.mask.sum())
        np.testing.assert_array_equal(want.inputs[:length, 0], inputs)
        np.testing.assert_array_equal(want.targets[:length, 0], targets)
    (make,) = own_sides(case, BATCH).values()
    make()()
    for name, peer in installed().items():
        if name in ("torch", "grain"):
            read = peer.make(case, BATCH)
            read()
            if isinstance(read, Apart):
                read.close()


def told_of():
    """A row's metrics, of one tiny case."""
    found = peers.compared(TINY, ["flax"], rounds=1)
    assert found["gflop"] > 0 and found["flax"]["work_space_mb"] > 0
    cases = {"zaremba_small lstm": found | {"share_of_peak": 0.5}}
    return {
        "peers": {"flax": "1"},
        "absent": ["keras"],
        "cases": cases,
    }


def test_where_a_run_shares_its_batches_the_step_is_timed_as_shared(monkeypatch):
    assert not peers.shared_side(TINY)
    monkeypatch.setattr(peers.devices, "number_by_table", lambda plan: 2)
    assert peers.SHARED in peers.compared(TINY._replace(lanes=4), [], rounds=1)
    assert not peers.shared_side(TINY._replace(does="read"))


def test_the_table_of_peers_names_those_that_are_absent():
    found = told_of()
    told = peers.table([ROW | {"metrics": found}])
    assert "flax 1" in told and "geometric mean" in told
    assert "Not installed, so not measured: keras." in told
    assert peers.figure(found).axes
