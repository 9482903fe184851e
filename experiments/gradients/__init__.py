"""Studies of where gradients go: `python -m experiments.gradients NAME`."""
