"""A run's directory in plain files: config, metrics, checkpoints, probes."""
