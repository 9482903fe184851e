"""Members of a population: the loop that takes them through their runs together.

Of each member the host keeps the book (`experiments.train.logbook`), the devices the
arrays (`experiments.train.slots`). All take a step at a time; what falls due after it,
evaluations, the ends of epochs, checkpoints and samples, is each one's own.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from data_pipeline.types import Dataset
from experiments.applications.language_model.writing import make_writer
from experiments.config import Config
from experiments.console.interrupts import Interrupt
from experiments.run.directory import Run, open_run
from experiments.run.files import say
from experiments.run.record import text_of
from experiments.train.display import Silent
from experiments.train.keys import sample_key
from experiments.train.logbook import Diverged, Logbook, conclude
from experiments.train.loop import SAMPLE_TOKENS, plan
from experiments.train.probe import Probe
from experiments.train.slots import Slots, as_floats
from lm.layers import count_parameters
from lm.losses import Sum
from lm.optim import learning_rate
from lm.train import StepInfo, TrainState, evaluation_params, numbers_of
from lm.types import Batch

SAVERS = 8  # checkpoints written at a time

Report = Callable[[int, int, float], bool]


class Member(Logbook):
    """A run among others.

    number  in the order of the configs.
    slot    where its arrays are.
    rate    the learning rate of its last step.
    probe   its probes, which are taken of the slot.
    """

    def __init__(self, run: Run, per_epoch: int, number: int, slot: int, probe: Probe):
        super().__init__(run, per_epoch, Silent())
        self.number, self.slot, self.rate, self.probe = number, slot, math.nan, probe

    @property
    def epoch_ended(self) -> bool:
        """Whether the step just taken was the last of its epoch."""
        return self.at.index == self.per_epoch

    def now(self, what: str) -> bool:
        """Whether an evaluation, checkpoint or sample falls on the step just taken."""
        return self.due(what, self.epoch_ended)

    @property
    def busy(self) -> bool:
        """Whether anything falls here besides the next step."""
        falls = any(self.now(what) for what in ("eval", "checkpoint", "sample"))
        return falls or self.epoch_ended or self.done


class Pending(NamedTuple):
    """A step whose numbers are still on the device: whose, which one of theirs, and
    with which learning rate."""

    steps: list[tuple[Member, int, float]]
    infos: StepInfo


class Population:
    """Members at work in their slots, those that wait, and what has come of them.

    members   those at work.
    finished  by number: the directory of a run that has ended.
    """

    def __init__(
        self,
        configs: Sequence[Config],
        directories: Sequence[Path],
        report: Report,
        dataset: Dataset,
        chunk: int,
    ):
        self.configs, self.directories, self.report = configs, directories, report
        self.dataset, (self.model, self.batches) = dataset, plan(configs[0], dataset)
        self.slots = Slots(configs[0], dataset, self.batches)
        self.slots.open(min(chunk or len(configs), len(configs)), fit=not chunk)
        self.waiting = deque(range(len(configs)))
        self.members: list[Member] = []
        self.finished: list[Path | None] = [None] * len(configs)
        self.numbers = [numbers_of(configs[0])] * self.slots.size
        self.placed: Any = None
        self.pending: Pending | None = None
        self.writer = cache(self._make_writer)

    def train(self, stop: Interrupt) -> None:
        """Until all have ended, or `stop` is set."""
        while self._fill():
            leaving = bool(stop)
            self._advance(leaving)
            if leaving:
                break

    def _fill(self) -> bool:
        """Puts waiting members into free slots; whether anyone is at work."""
        while self.waiting and len(self.members) < self.slots.size:
            taken = {member.slot for member in self.members}
            free = [slot for slot in range(self.slots.size) if slot not in taken]
            came = [self._open(slot) for slot in free[: len(self.waiting)]]
            self.slots.restart([m.slot for m in came], [m.config for m in came])
            for member in came:
                state = member.begin(self.slots.template())
                if state is not None:
                    self.slots.put(member.slot, state)
            for member in came:
                member.probe.after(member.at.step, member.slot)
            self._conclude([member for member in came if member.done])
        return bool(self.members)

    def _open(self, slot: int) -> Member:
        number = self.waiting.popleft()
        text = text_of(self.dataset)
        run = open_run(self.directories[number], self.configs[number], text)
        run.keep_vocabulary(self.dataset.vocabulary)
        ids = self.dataset.splits["valid"].ids
        tokens = len(self.dataset.splits["train"].ids) / self.batches.steps
        probe = Probe(run, self.model, ids, tokens, self.slots.probe)
        member = Member(run, self.batches.steps, number, slot, probe)
        member.names = self.slots.names
        self.members.append(member)
        return member

    def _leave(self, member: Member) -> None:
        member.run.close()
        self.members.remove(member)

    def _advance(self, leaving: bool) -> None:
        """A step of everyone, and what falls due after it."""
        self._step()
        busy = [m for m in self.members if leaving or m.busy]
        if not busy:
            return
        self._settle()
        busy = [m for m in busy if m in self.members]  # the others have diverged
        best, pruned = self._judge([m for m in busy if m.now("eval")])
        done = [m for m in busy if m.done]
        saving = [m for m in busy if leaving or m in best + done or m.now("checkpoint")]
        sampling = [m for m in busy if m.config.train.samples and m.now("sample")]
        for member in busy:
            if member.epoch_ended:
                member.end_epoch()
        for member in sampling:  # before saving: a kill between the two loses neither
            self._sample(member)
        self._save(saving, best)
        self._conclude(done)
        for member in pruned:
            if member in self.members:
                self._leave(member)

    def _step(self) -> None:
        """One optimizer step of every member."""
        started = time.perf_counter()
        batches = self._batches()
        tokens = [int(batches[m.slot].mask.sum()) for m in self.members]
        waited = time.perf_counter() - started
        infos = self.slots.step(batches, self._numbers())
        for member in self.members:
            member.at.step, member.at.index = member.at.step + 1, member.at.index + 1
        steps = [(m, m.at.step, m.rate) for m in self.members]
        self._settle()
        seconds = time.perf_counter() - started
        length = max(len(batch.targets) for batch in batches)
        for (member, _, _), count in zip(steps, tokens, strict=True):
            member.time((length,), count, seconds)
            member.at.feed_seconds += waited
            member.tick()
        steps = [step for step in steps if step[0] in self.members]
        self.pending = Pending(steps, infos)
        for member, step, _ in steps:
            member.probe.after(step, member.slot)

    def _batches(self) -> list[Batch]:
        """What each slot reads; idle ones read along."""
        read: dict[Any, Batch] = {}
        found: list[Any] = [None] * self.slots.size
        shuffled = self.configs[0].data.reading == "sentences"
        for member in self.members:
            seed, at = member.config.seed, member.at
            place = (shuffled and seed, at.epoch, at.index)
            if place not in read:
                read[place] = self.batches.batch_at(seed, at.epoch, at.index)
            found[member.slot] = read[place]
        idle = found[self.members[0].slot]
        return [idle if batch is None else batch for batch in found]

    def _numbers(self) -> Any:
        """Everyone's numbers for the next step, on the devices."""
        for m in self.members:
            rate = learning_rate(m.config.optim, m.at.schedule, m.at.step, m.steps)
            if rate != m.rate:
                m.rate, self.placed = rate, None
                self.numbers[m.slot] = numbers_of(m.config, rate)
        if self.placed is None:
            self.placed = self.slots.place(as_floats(self.numbers))
        return self.placed

    def _settle(self) -> None:
        """Reads back the step before; members that it shows to have diverged leave."""
        if self.pending is None:
            return
        (steps, infos), self.pending = self.pending, None
        infos = jax.device_get(infos)
        for member, step, rate in steps:
            try:
                member.record(step, rate, of_slot(infos, member.slot))
            except Diverged as error:
                say(f"{member.run.directory} diverged: {error}")
                self.report(member.number, step, math.nan)
                self._leave(member)

    def _judge(self, due: list[Member]) -> tuple[list[Member], list[Member]]:
        """Evaluates members: (those better than ever, those to be given up)."""
        best, pruned = [], []
        for member, total in zip(due, self._evaluate(due), strict=True):
            if member.judge(total):
                best.append(member)
            if not self.report(member.number, member.at.step, member.at.valid):
                pruned.append(member)
        return best, pruned

    def _evaluate(self, members: list[Member]) -> list[Sum]:
        """The validation loss of each."""
        which = [member.slot for member in members]
        params = evaluation_params(self.slots.states)
        return self.slots.evaluate(params, which, self.dataset.splits["valid"])

    def _save(self, members: list[Member], best: list[Member]) -> None:
        """Checkpoints, several at a time: writing is mostly waiting for the disk."""

        def save(member: Member) -> None:
            member.probe.flush()
            member.save(self.slots.take(member.slot), member in best)

        with ThreadPoolExecutor(SAVERS) as pool:
            list(pool.map(save, members))

    def _sample(self, member: Member) -> None:
        """Writes texts to samples.txt, as `Trainer` does."""
        params = evaluation_params(self.slots.take(member.slot))
        key = sample_key(jax.random.key(member.config.seed))
        write = self.writer(member.config.train.samples)
        member.run.sample(member.at.step, write(params, key))

    def _make_writer(self, samples: int) -> Any:
        words, config = self.dataset.vocabulary, self.configs[0]
        return make_writer(
            config, words, self.model, samples=samples, max_tokens=SAMPLE_TOKENS
        )

    def _conclude(self, done: list[Member]) -> None:
        """Ends runs: reads validation and test splits with each one's best parameters.

        As in `Trainer.best`, a run that ends between evaluations has its last
        parameters looked at here, without any trace in its position.
        """
        if not done:
            return
        unseen = [member for member in done if member.evaluated != member.at.step]
        totals = zip(unseen, self._evaluate(unseen), strict=True)
        better = [m for m, total in totals if total.nats / total.count < m.at.best]
        self._save(better, better)
        found = [self._best(member) for member in done]
        params = [evaluation_params(state) for state, _ in found]
        params = jax.tree.map(lambda *leaves: np.stack(leaves), *params)
        valid, test = (
            self.slots.evaluate(params, range(len(done)), self.dataset.splits[name])
            for name in ("valid", "test")
        )
        size = count_parameters(found[0][0].params)
        for number, member in enumerate(done):
            member.probe.finish(member.at.step, member.slot)
            totals = {"valid": valid[number], "test": test[number]}
            conclude(member, self.dataset.corpus, totals, found[number][1], size)
            self.finished[member.number] = member.run.directory
            self._leave(member)

    def _best(self, member: Member) -> tuple[TrainState, int]:
        """A member's best state, and the step it is of."""
        found = member.checkpoints.best(self.slots.template())
        if found is None:
            return self.slots.take(member.slot), member.at.step
        return found[0], found[1]["step"]


def of_slot(infos: StepInfo, slot: int) -> StepInfo:
    """One member's numbers out of everyone's."""
    return jax.tree.map(lambda x: x[slot], infos)
