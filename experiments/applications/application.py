"""What an application is: the record that training, sweeps and reports go by.

An application binds a config, its data and what is trained. `experiments.applications`
names them; nothing outside knows more of one than these two records.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from experiments.run.record import Text


def nothing(run: Any) -> None:
    """Keeps nothing in a run's directory."""


class Prepared(NamedTuple):
    """The data of a config, read and checked.

    text      what tells it from another one, see `experiments.run.record.Text`.
    splits    "train", "valid" and "test", each as the application's `reading` takes it.
    size      terms of the loss in the training split: tokens, say.
    told      the data in a few words, for a run's first line.
    facts     JSON values that go into summary.json; "optimum": the best scores that
              there can be, {name: number}, where they are known.
    remarks   by split: what has to be read beside its scores.
    notes     lines to be told before training.
    save      (run) -> None: keeps in its directory what new input needs.
    source    whatever the application's own functions need besides.
    """

    text: Text
    splits: Mapping[str, Any]
    size: int = 0
    told: str = ""
    facts: Mapping[str, Any] = {}
    remarks: Mapping[str, str] = {}
    notes: tuple[str, ...] = ()
    save: Callable[[Any], None] = nothing
    source: Any = None


class Final(NamedTuple):
    """What the host finds with a run's best parameters, when the run ends.

    scores     {split: {name: number}}, beside those that `Problem.evaluate` gives.
    baselines  {what is no neural network: {split: {name: number}}}, on the same splits.
    optimum    {name: the best score that there can be on the test split}, where it is
               known only now; else it is among `Prepared.facts`.
    chosen     {name: number} that the validation split chose for the scores, as a
               mixture's weights.
    examples   JSON values, kept in RUN/examples.json for `Application.section`.
    """

    scores: Mapping[str, Mapping[str, float]] = {}
    baselines: Mapping[str, Mapping[str, Mapping[str, float]]] = {}
    optimum: Mapping[str, float] = {}
    chosen: Mapping[str, float] = {}
    examples: Any = None


class Restored(NamedTuple):
    """A run's best parameters, for those who use them.

    config, prepared, problem  what it is, see `Application.restore`.
    params, step               the parameters, and of which step they are.
    """

    config: Any
    prepared: Prepared
    problem: Any
    params: Any
    step: int


class Application(NamedTuple):
    """Something that can be trained and used.

    config        the class of its configs, an `experiments.config.RunConfig`.
    told          (config) -> the model in a few words, for a run's first line.
    choose        (config) -> (config, lines that tell of it): what a config leaves to
                  its data, before the command line has its say; None: nothing.
    prepare       (config) -> Prepared.
    restore       (config, run's directory) -> Prepared without splits: what `problem`
                  and `predict` need of a run whose data may be gone.
    problem       (config, prepared) -> what is trained.
    reading       (config, prepared, split, evaluation) -> a `Reading` of that split; in
                  an evaluation everything counts exactly once.
    probed        (config, prepared) -> a batch for the probes of the gradient flow;
                  None where there is too little to probe.
    write         (config, prepared, samples) -> (params, key) -> texts; None: none are
                  written on the way.
    final         (config, prepared, params) -> Final, with the best parameters; None:
                  nothing besides the scores of `Problem.evaluate`.
    section       (examples of `Final`) -> what a report shows of them: blocks of
                  `experiments.figures.page`, or pairs (file name, Figure); None: none.
    predict       (restored, path) -> an iterable of records, one for each line of a
                  file (`-`: standard input), each with a "text" and the numbers that go
                  with it; None: cannot be.
    searches      whether `predict` takes a third argument: how many hypotheses a beam
                  search keeps; without it the search is greedy.
    example       (restored) -> a batch of one lane for instruments, made without any
                  data; None: there is none.
    reached       (config, {score: number}) -> whether an evaluation with these scores
                  ends the run; None: none does.
    monitor       the score that best, patience, plateau and sweeps look at: smaller is
                  better, or larger where it is written with a minus before it.
    nats          whether the loss is nats per token, so that perplexities are shown.
    """

    config: type
    told: Callable
    prepare: Callable
    restore: Callable
    problem: Callable
    reading: Callable
    probed: Callable
    choose: Callable | None = None
    write: Callable | None = None
    final: Callable | None = None
    section: Callable | None = None
    predict: Callable | None = None
    searches: bool = False
    example: Callable | None = None
    reached: Callable | None = None
    monitor: str = "loss"
    nats: bool = False

    def monitored(self, means: Mapping[str, float]) -> float:
        """The number that is looked at, smaller being better."""
        name = self.monitor.removeprefix("-")
        return -means[name] if name != self.monitor else means[name]
