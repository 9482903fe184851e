"""A constant learning rate with averaged weights, or one that decays: which is better?

Asks     what the literature leaves open: Merity 2017 trains at a constant rate and
         averages (NT-ASGD), most others let the rate fall. Validation perplexity of
         ptb_hour's model, each way with its best of four rates.
Space    a grid: cosine without an average; a constant rate with none, with the plain
         mean of the last half of the steps, and with an exponential one over some
         1,000 steps (its epoch has 830).
Command  python -m experiments.sweep averaging (needs Penn Treebank, see ptb_hour; some
         minutes on a GPU). --small: a few steps of narrow ones on the embedded corpus.
"""

SPACE = {
    "config": "ptb_hour",
    "zip": {
        "optim.schedule": ["cosine", "constant", "constant", "constant"],
        "optim.average": ["none", "none", "tail", "ema"],
        "optim.average_from": [0, 0, 4150, 0],
    },
    "optim.learning_rate": {"choice": [0.0005, 0.001, 0.002, 0.004]},
    "train.minutes": 0,
    "train.eval_every": 1660,
    "gradflow.every": 0,
    "sampler": "grid",
    "small": {
        "data.corpus": "stdlib_docs",
        "data.tokenizer": "words",
        "data.max_vocabulary": 500,
        "data.batch": 20,
        "model.hidden": 48,
        "model.embedding": 32,
        "zip": {
            "optim.schedule": ["cosine", "constant", "constant", "constant"],
            "optim.average": ["none", "none", "tail", "ema"],
            "optim.average_from": [0, 0, 60, 0],
        },
        "optim.learning_rate": {"choice": [0.002, 0.008]},
        "train.epochs": 0,
        "train.steps": 120,
        "train.eval_every": 60,
        "train.eval_batch": 40,
    },
}
