"""Sweeps: many runs of one space of configs, by any number of workers and machines.

What lives here, what it may import, and how to write a space: README.md beside this.
"""
