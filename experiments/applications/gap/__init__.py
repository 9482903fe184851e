"""A missing word: what stands in a gap of a sentence, from both sides of it."""
