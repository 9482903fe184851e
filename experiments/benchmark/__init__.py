"""Measurements: one file is one benchmark and its table of the README."""
