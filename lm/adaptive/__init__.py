"""Models that adapt to the text that they are scored on, and mixtures of models."""
