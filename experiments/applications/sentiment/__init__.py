"""Sentiment: a sentence into a class."""
