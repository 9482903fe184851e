"""Text correction: of what a sentence may have been, what a language model prefers."""
