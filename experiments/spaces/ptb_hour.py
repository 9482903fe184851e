"""Penn Treebank in an hour of two cores: how wide, and how regularised?

Asks     the lowest validation perplexity of what two cores train in an hour.
Space    one layer with a tied, projected softmax, two widths, each with as many epochs
         as fit in that hour (4,400 tokens/s at 512 units on two quiet cores, AMD EPYC);
         learning rate and the dropouts of Merity 2017. Adam with a cosine.
Command  python -m experiments.sweep ptb_hour (needs Penn Treebank: a folder with its
         train, valid and test files as `data.corpus`, see ptb_hour); some minutes on a
         GPU, where runs of one shape go together. --small: a few steps of narrow ones
         on the embedded corpus.
"""

SPACE = {
    "config": "ptb_hour",
    "zip": {
        "model.hidden": [512, 650],
        "model.embedding": [256, 400],
        "train.epochs": [16, 11],
    },
    "optim.learning_rate": {"loguniform": [0.0015, 0.008]},
    "model.dropout.input": {"uniform": [0.1, 0.5]},
    "model.dropout.output": {"uniform": [0.1, 0.5]},
    "model.dropout.embedding": {"uniform": [0.01, 0.2]},
    "model.dropout.weight": {"uniform": [0.05, 0.5]},
    "train.eval_every": 2490,
    "gradflow.every": 0,
    "sampler": "random",
    "trials": 32,
    "small": {
        "data.corpus": "stdlib_docs",
        "data.tokenizer": "words",
        "data.max_vocabulary": 500,
        "data.batch": 20,
        "zip": {
            "model.hidden": [48, 64],
            "model.embedding": [32, 48],
        },
        "train.epochs": 0,
        "train.steps": 120,
        "train.eval_every": 60,
        "train.eval_batch": 40,
        "trials": 8,
    },
}
