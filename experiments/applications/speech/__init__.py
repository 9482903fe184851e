"""Speech to symbols: sounds into the strings that they say, without an alignment."""
