"""What a trial costs besides its training: runs so short that little else is left.

Asks     the seconds from a trial's start to its first step, in the row's
         `start_to_first_step`. The second command finds all programs compiled.
Space    a grid of 12: 2 cells × 6 learning rates, 20 steps each.
Command  python -m experiments.sweep overhead --workers 1 --sweep-dir sweeps/cold
         JAX_COMPILATION_CACHE_DIR=sweeps/cold/compiled \
             python -m experiments.sweep overhead --workers 1 --sweep-dir sweeps/warm \
             --record curves
"""

SPACE = {
    "config": "tour",
    "data.max_vocabulary": 1000,
    "model.cell": {"choice": ["tanh", "lstm"]},
    "model.hidden": 64,
    "model.embedding": 64,
    "optim.learning_rate": {"loguniform": [0.001, 0.1], "points": 6},
    "optim.schedule": "constant",
    "train.epochs": 0,
    "train.minutes": 0.0,
    "train.steps": 20,
    "train.eval_batch": 40,
    "train.samples": 0,
    "small": {"optim.learning_rate": {"loguniform": [0.001, 0.1], "points": 2}},
}
