"""The training loop: what a run is, step by step, on one device or on many."""
