"""Translation: a sentence of one language into one of another."""
