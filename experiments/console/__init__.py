"""What the user types and sees: command lines, signals, streams, the live line."""
