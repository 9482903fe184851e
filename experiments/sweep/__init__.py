"""Sweeps: many runs of one space of configs, by any number of workers and machines."""
