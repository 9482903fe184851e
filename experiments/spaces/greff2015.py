"""Greff et al. 2015, "LSTM: a search space odyssey": which settings of an LSTM matter?

Asks     the shares of learning rate, width, momentum and noise on the input in the
         variance of the loss (theirs: the learning rate accounts for over two thirds,
         width for less, momentum for nothing, and they hardly interact).
Space    their random search, 200 trials a variant: learning rate and hidden size
         log-uniform, five momenta, dropout on the input in place of their additive
         noise. Variants: the gated cells that exist here.
Command  python -m experiments.sweep greff2015 --small    (the full form without)
"""

SPACE = {
    "config": "tour",
    "model.cell": {"choice": ["lstm", "gru", "gru_reset_before"]},
    "optim.optimizer": "momentum",
    "optim.learning_rate": {"loguniform": [0.001, 1.0]},
    "optim.momentum": {"choice": [0.0, 0.5, 0.9, 0.95, 0.99]},
    "optim.schedule": "constant",
    "model.hidden": {"int": [20, 200], "log": True},
    "model.embedding": 64,
    "model.softmax": "full",
    "model.dropout.kind": "between",
    "model.dropout.input": {"uniform": [0.0, 0.5]},
    "model.dropout.output": 0.0,
    "train.minutes": 0.0,
    "train.epochs": 5,
    "train.samples": 0,
    "trials": 600,
    "sampler": "random",
    "small": {
        "data.max_vocabulary": 500,
        "model.cell": {"choice": ["lstm", "gru"]},
        "optim.momentum": {"choice": [0.0, 0.9]},
        "model.hidden": {"choice": [24, 72]},
        "model.embedding": 32,
        "train.epochs": 0,
        "train.steps": 100,
        "train.eval_every": 50,
        "train.eval_batch": 40,
        "trials": 24,
    },
}
