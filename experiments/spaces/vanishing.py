"""Vanishing and exploding gradients: learning rate × clip norm × recurrent gain.

Asks     what clipping and the recurrent matrix's scale at the start do to how well a
         tanh network learns, and to how far back its gradient reaches (Pascanu 2013).
Space    a grid: 5 learning rates × 4 clip norms × 5 gains of an orthogonal recurrent
         matrix, whose singular values are all the gain: under 1 gradients vanish in
         the linear regime, over 1 they may explode.
Command  python -m experiments.sweep vanishing --small    (the full form without)
"""

SPACE = {
    "config": "tour",
    "model.cell": "tanh",
    "model.init.recurrent": "orthogonal",
    "model.init.gain": {"choice": [0.5, 0.8, 1.0, 1.25, 2.0]},
    "optim.optimizer": "sgd",
    "optim.learning_rate": {"loguniform": [0.03, 3.0], "points": 5},
    "optim.clip_at": {"choice": [0.1, 1.0, 10.0, 1000.0]},
    "optim.schedule": "constant",
    "model.dropout.kind": "none",
    "model.dropout.input": 0.0,
    "model.dropout.output": 0.0,
    "train.minutes": 0.0,
    "train.epochs": 5,
    "train.samples": 0,
    "seeds": 3,
    "small": {
        "data.max_vocabulary": 500,
        "model.hidden": 48,
        "model.embedding": 48,
        "model.init.gain": {"choice": [0.5, 1.0, 2.0]},
        "optim.learning_rate": {"loguniform": [0.1, 10.0], "points": 3},
        "optim.clip_at": {"choice": [0.1, 1.0, 1000.0]},
        "train.epochs": 0,
        "train.steps": 100,
        "train.eval_every": 50,
        "train.eval_batch": 40,
        "seeds": 1,
    },
}
