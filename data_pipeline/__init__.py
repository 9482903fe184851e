"""Text in, batches of token ids out. Text handling never imports jax."""
