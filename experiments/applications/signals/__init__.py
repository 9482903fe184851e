"""Signals into classes: vectors, such as the frames of a sound, into a class."""
