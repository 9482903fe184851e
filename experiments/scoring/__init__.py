"""What `experiments.score` does, a file for each question that it is asked."""
