"""The tutorial's question: which cell learns what, at which learning rate?

Asks     how low each cell gets, and how wide the band of good learning rates is.
Space    5 cells × 12 learning rates, a grid of 60 trials.
Command  python -m experiments.sweep tutorial --small     (the full form without)
"""

SPACE = {
    "config": "tour",
    "model.cell": {"choice": ["tanh", "relu", "gru", "gru_tutorial", "lstm"]},
    "optim.learning_rate": {"loguniform": [0.0003, 0.6], "points": 12},
    "optim.optimizer": "momentum",
    "optim.schedule": "constant",
    "optim.clip_at": 1.0,
    "model.dropout.kind": "none",
    "model.dropout.input": 0.0,
    "model.dropout.output": 0.0,
    "train.minutes": 0.0,
    "train.epochs": 5,
    "train.samples": 0,
    "seeds": 3,
    "small": {
        "data.max_vocabulary": 1000,
        "model.hidden": 64,
        "model.embedding": 64,
        "train.epochs": 0,
        "train.steps": 160,
        "train.eval_every": 80,
        "train.eval_batch": 40,
        "seeds": 1,
    },
}
