"""Words never seen: a language model that reads words by their characters."""
