"""The one loop over runs: batches in, checkpoints and metrics out.

A run is a pure function of (config, seed). What the loop itself remembers of one
between steps is its `RunState`; so a run that is stopped anywhere goes on bit for bit.
All runs in an executor's slots take a step at a time; what falls due after it is each
one's own. A run by itself is one member.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any, NamedTuple

import jax

from experiments.applications.application import Final
from experiments.config import RunConfig
from experiments.console.interrupts import Interrupt
from experiments.run.directory import Run
from experiments.train.ahead import Ahead
from experiments.train.callback import Callback
from experiments.train.executor import Block, Executor
from experiments.train.keys import sample_key
from experiments.train.places import next_place, place_of
from experiments.train.plan import Plan
from experiments.train.probe import Probe
from experiments.train.run_state import Diverged, Outcome, RunState
from lm.optim import learning_rate
from lm.train import TrainState, evaluation_params, numbers_of

SAVERS = 8  # checkpoints written at a time


class Entry(NamedTuple):
    """A run to be trained, and how its directory is opened; the loop closes it."""

    config: RunConfig
    open: Callable[[], Run]


class Pending(NamedTuple):
    """Steps whose numbers are still on the device: the blocks and what they measured;
    whose they are, which the first one is of theirs, with which learning rates."""

    found: list[tuple[Block, Any]]
    runs: list[tuple[RunState, int, list[float]]]
    compiled: bool
    seconds: float = 0.0


class Loop:
    """Runs at work in an executor's slots, those that wait, and what came of them.

    callbacks  hear of all runs.
    conclude   whether a finished run is read with its best parameters, on the
               validation and on the test split, and gets its summary.json. The test
               split is read here, once, and nowhere else.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        executor: Executor,
        plan: Plan,
        callbacks: Sequence[Callback] = (),
        conclude: bool = True,
    ):
        self.entries, self.executor, self.plan = entries, executor, plan
        self.callbacks, self.conclude = list(callbacks), conclude
        self.waiting = deque(range(len(entries)))
        self.runs: list[RunState] = []
        self.outcomes: list[Outcome | None] = [None] * len(entries)
        self.pending: Pending | None = None
        self.placed: tuple[Any, Any] = (None, None)
        self.compiled: set[Any] = set()
        self.writer = cache(self._make_writer)

    def train(self, stop: Interrupt) -> list[Outcome | None]:
        """What came of each run, when all have ended or `stop` is set; None of those
        that were not begun."""
        per_epoch, fused = self.plan.reading.steps, self.plan.config.train.fused
        after = partial(next_place, per_epoch=per_epoch, fused=fused)
        with Ahead(self.executor.fetch, after) as self.batches:
            try:
                while self._fill():
                    self._advance(stop)
            finally:
                for run in self.runs:
                    run.run.close()
                for callback in self.callbacks:
                    callback.close()
        return self.outcomes

    def _fill(self) -> bool:
        """Puts waiting runs into free slots; whether any is at work."""
        while self.waiting and len(self.runs) < self.executor.size:
            taken = {run.slot for run in self.runs}
            free = [slot for slot in range(self.executor.size) if slot not in taken]
            came = [self._open(slot) for slot in free[: len(self.waiting)]]
            self.executor.restart([r.slot for r in came], [r.config for r in came])
            for run in came:
                state = run.begin(self.executor.template())
                if state is not None:
                    self.executor.put(run.slot, state)
            for run in came:
                run.callbacks = [*self.callbacks, Probe(run, self.executor.probe)]
                for name in ("begun", "taken"):
                    for callback in run.callbacks:
                        getattr(callback, name)(run)
            self._finish([r for r in came if r.finished or r.late])
        return bool(self.runs)

    def _open(self, slot: int) -> RunState:
        number = self.waiting.popleft()
        opened = self.entries[number].open()
        run = RunState(opened, self.plan, number, slot)
        self.runs.append(run)
        self.plan.prepared.save(opened)
        run.checkpoints = self.executor.checkpoints(run.checkpoints)
        run.params = lambda: self.executor.params(slot)
        return run

    def _leave(self, run: RunState, how: str, **found: Any) -> None:
        """The end of a run here."""
        outcome = Outcome(how, run, **found)
        self.outcomes[run.number] = outcome
        for callback in run.callbacks:
            callback.ended(run, outcome)
        run.run.close()
        self.runs.remove(run)

    def _advance(self, stop: Interrupt) -> None:
        """Steps of everyone, and what falls due after them."""
        self._step()
        falling = [run for run in self.runs if run.falls()]
        if falling:
            self._settle()
        falling = [run for run in falling if run in self.runs]  # others have diverged
        best = self._judge([run for run in falling if run.due("eval")])
        sampling = [r for r in falling if r.config.train.samples and r.due("sample")]
        saving = [run for run in falling if run in best or run.due("checkpoint")]
        for run in falling:
            if run.epoch_ended:
                run.end_epoch()
        stopped, late = self._agree(stop)
        over = [run for run in self.runs if run.finished or run in late]
        if stopped or over:
            self._settle()
        for run in sampling:
            self._sample(run)
        leaving = self.runs if stopped else over
        self._save([run for run in self.runs if run in [*saving, *leaving]], best)
        unwanted = [run for run in self.runs if not run.wanted]
        self._finish([run for run in over if run in self.runs])
        for run in unwanted:
            if run in self.runs:
                self._leave(run, "ended")
        if stopped:
            self.waiting.clear()
            for run in list(self.runs):
                self._leave(run, "interrupted")

    def _agree(self, stop: Interrupt) -> tuple[bool, list[RunState]]:
        """Whether all are to be saved and left; and those whose time is over."""
        for run in self.runs:
            run.tick()
        stopped, late = self.executor.agree(bool(stop), [r.late for r in self.runs])
        pairs = zip(self.runs, late, strict=True)
        return stopped, [run for run, over in pairs if over]

    def _step(self) -> None:
        """A block of optimizer steps of every run: one, but for `train.fused`."""
        started = time.perf_counter()
        fused = self.plan.config.train.fused
        count = min(run.together(fused) for run in self.runs)
        blocks = self.batches[place_of(self.runs, self.executor.size, count)]
        waited = time.perf_counter() - started
        steps = [(r, r.at.step + 1, self._rates(r, count)) for r in self.runs]
        found, first = [], 0
        for block in blocks:
            rates = {
                r.slot: (r, own[first : first + block.steps]) for r, _, own in steps
            }
            found.append((block, self.executor.step(block, self._numbers(rates))))
            first += block.steps
        for run in self.runs:
            run.at.step, run.at.index = run.at.step + count, run.at.index + count
            run.at.feed_seconds += waited
        self._settle()
        shapes = {block.shape for block in blocks}
        known, seconds = shapes <= self.compiled, time.perf_counter() - started
        self.compiled |= shapes
        steps = [step for step in steps if step[0] in self.runs]
        self.pending = Pending(found, steps, not known, seconds)
        for run, *_ in steps:
            for callback in run.callbacks:
                callback.taken(run)

    def _rates(self, run: RunState, count: int) -> list[float]:
        """The learning rates of a run's next steps."""
        optim, at = run.config.optim, run.at
        steps = range(at.step, at.step + count)
        return [learning_rate(optim, at.schedule, step, run.steps) for step in steps]

    def _numbers(self, rates: dict[int, tuple[RunState, list[float]]]) -> Any:
        """Every slot's numbers in a block, on the devices; idle ones have any."""
        known = tuple((run.number, *own) for run, own in rates.values())
        if known != self.placed[0]:
            count = len(next(iter(rates.values()))[1])
            idle = numbers_of(self.plan.config)
            rows = [
                [
                    numbers_of(rates[slot][0].config, rates[slot][1][k])
                    if slot in rates
                    else idle
                    for slot in range(self.executor.size)
                ]
                for k in range(count)
            ]
            self.placed = known, self.executor.place(rows)
        return self.placed[1]

    def _settle(self) -> None:
        """Reads back the steps before; runs that they show to have diverged leave."""
        if self.pending is None:
            return
        pending, self.pending = self.pending, None
        infos = [
            row
            for block, found in pending.found
            for row in self.executor.infos(found, block.steps)
        ]
        for run, first, rates in pending.runs:
            try:
                for k, rate in enumerate(rates):
                    info = infos[k][run.slot]
                    if not pending.compiled:
                        run.at.step_seconds += pending.seconds / len(rates)
                        run.at.step_tokens += int(info.loss.count)
                    self._tell(run, first + k, run.record(first + k, rate, info))
            except Diverged as error:
                self._leave(run, "diverged", error=error)

    def _tell(self, run: RunState, step: int, row: dict[str, Any]) -> None:
        for callback in run.callbacks:
            if callback.stepped(run, step, row):
                run.wanted = False

    def _judge(self, due: list[RunState]) -> list[RunState]:
        """Evaluates runs; those better than ever."""
        best = []
        if not due:
            return best
        scores = self.executor.evaluate([run.slot for run in due], "valid")
        for run, found in zip(due, scores, strict=True):
            better, row = run.judge(found)
            best += [run] if better else []
            for callback in run.callbacks:
                if callback.judged(run, row):
                    run.wanted = False
        return best

    def _save(self, runs: list[RunState], best: list[RunState]) -> None:
        """Checkpoints, several at a time: writing is mostly waiting for the disk."""

        def save(run: RunState) -> None:
            run.save(self.executor.take(run.slot), run in best)

        for run in runs:
            for callback in run.callbacks:
                callback.saving(run)
        if len(runs) < 2:
            for run in runs:
                save(run)
            return
        with ThreadPoolExecutor(SAVERS) as pool:
            list(pool.map(save, runs))

    def _sample(self, run: RunState) -> None:
        """Writes texts to samples.txt. Before the checkpoint, so that a kill between
        them loses none: a run that goes on from before writes them again."""
        write = self.writer(run.config.train.samples)
        if write is not None:
            key = sample_key(jax.random.key(run.config.seed))
            texts = write(self.executor.averaged(run.slot), key)
            run.run.sample(run.at.step, texts)

    def _make_writer(self, samples: int) -> Callable | None:
        write = self.plan.application.write
        return write and write(self.plan.config, self.plan.prepared, samples)

    def _finish(self, done: list[RunState]) -> None:
        """Ends runs, and concludes them where that is asked for."""
        if not done:
            return
        for run in done:
            for callback in run.callbacks:
                callback.over(run)
        summaries = self._conclude(done) if self.conclude else [None] * len(done)
        for run, summary in zip(done, summaries, strict=True):
            self._leave(run, "finished", summary=summary)

    def _conclude(self, done: list[RunState]) -> list[dict[str, Any]]:
        """Reads validation and test splits with each run's best parameters.

        A run that ends between evaluations has its last parameters looked at here,
        without any trace in its position, so that it can still go on as if it had
        never stopped.
        """
        unseen = [run for run in done if run.evaluated != run.at.step]
        scores = self.executor.evaluate([run.slot for run in unseen], "valid")
        pairs = zip(unseen, scores, strict=True)
        better = [run for run, found in pairs if run.score(found) < run.at.best]
        self._save(better, better)
        found = [self._best(run) for run in done]
        states = [state for state, _ in found]
        splits = ("valid", "test")
        each = [self.executor.evaluate_states(states, split) for split in splits]
        summaries = []
        for run, (state, step), *own in zip(done, found, *each, strict=True):
            scores = dict(zip(splits, own, strict=True))
            summaries.append(run.conclude(scores, step, self._final(state)))
        return summaries

    def _final(self, state: TrainState) -> Final:
        """What the application finds on the host with the best parameters."""
        final = self.plan.application.final
        if final is None or not self.executor.leader:
            return Final()
        params = jax.device_get(evaluation_params(state))
        return final(self.plan.config, self.plan.prepared, params)

    def _best(self, run: RunState) -> tuple[TrainState, int]:
        """A run's best state, and the step it is of."""
        found = run.checkpoints.best(self.executor.template())
        if found is None:
            return self.executor.take(run.slot), run.at.step
        return found[0], found[1]["step"]
