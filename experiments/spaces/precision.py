"""Does a perplexity suffer where the gradient's products are in bfloat16?

Asks     of the model and the text of `make run`, with an LSTM and a tanh network: the
         best validation loss in float32 and in bfloat16, by three seeds of each.
Space    a grid of 4: 2 cells × 2 precisions.
Command  python -m experiments.sweep precision
         --small: a few hundred steps of narrow ones.
"""

SPACE = {
    "config": "tour",
    "model.cell": {"choice": ["lstm", "tanh"]},
    "optim.precision": {"choice": ["float32", "bfloat16"]},
    "train.minutes": 0.0,
    "train.samples": 0,
    "gradflow.every": 0,
    "sampler": "grid",
    "seeds": 3,
    "small": {
        "data.max_vocabulary": 500,
        "model.hidden": 48,
        "model.embedding": 48,
        "train.epochs": 0,
        "train.steps": 200,
        "train.eval_batch": 40,
        "seeds": 1,
    },
}
