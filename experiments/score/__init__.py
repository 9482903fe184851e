"""Score text with a trained model: a file for each question that it is asked."""
