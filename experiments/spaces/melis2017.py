"""Melis, Dyer & Blunsom 2017: how good is an LSTM of 10 million parameters?

Asks     what a careful search makes of one layer on Penn Treebank (theirs: valid 61.8,
         test 59.6 perplexity after 1,500 trials by a Gaussian-process search).
Space    learning rate, the four dropouts of their table, weight decay; depths with
         widths that keep 10 million parameters at a vocabulary of 10,000 with tied
         embeddings (a zip). Adam, as theirs, with b1 = 0.
Command  python -m experiments.sweep melis2017 --small: a tenth of the width on the
         embedded corpus. Without --small it needs Penn Treebank: a folder with its
         train, valid and test files as `data.corpus`, see zaremba_small.
"""

SPACE = {
    "config": "zaremba_small",
    "zip": {
        "model.layers": [1, 2, 4],
        "model.hidden": [650, 535, 420],
        "model.embedding": [650, 535, 420],
    },
    "model.softmax": "tied",
    "model.init.scale": 0.05,
    "model.init.forget_bias": 1.0,
    "model.dropout.kind": "locked",
    "model.dropout.input": {"uniform": [0.0, 0.9]},
    "model.dropout.hidden": {"uniform": [0.0, 0.9]},
    "model.dropout.output": {"uniform": [0.0, 0.9]},
    "model.dropout.weight": {"uniform": [0.0, 0.9]},
    "data.batch": 64,
    "data.window": 35,
    "optim.optimizer": "adam",
    "optim.b1": 0.0,
    "optim.reduction": "token",
    "optim.learning_rate": {"loguniform": [0.001, 0.01]},
    "optim.weight_decay": {"loguniform": [1e-6, 1e-2]},
    "optim.clip_at": 10.0,
    "optim.schedule": "plateau",
    "optim.patience": 4,
    "optim.factor": 0.1,
    "train.epochs": 150,
    "train.patience": 15,
    "train.samples": 0,
    "sampler": "tpe",
    "pruner": "hyperband",
    "trials": 150,
    "small": {
        "data.corpus": "stdlib_docs",
        "data.tokenizer": "words",
        "data.max_vocabulary": 500,
        "data.batch": 20,
        "zip": {
            "model.layers": [1, 2],
            "model.hidden": [64, 48],
            "model.embedding": [64, 48],
        },
        "train.epochs": 0,
        "train.steps": 120,
        "train.eval_every": 30,
        "train.eval_batch": 40,
        "trials": 16,
        "pruner": "median",
    },
}
