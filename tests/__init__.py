"""Tests. A package, so that they run from any directory and share `tests.zoo`."""
