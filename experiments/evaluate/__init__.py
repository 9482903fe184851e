"""Perplexity of trained language models, adapted to what they read, and mixed."""
