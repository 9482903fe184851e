"""The tables and lists of the READMEs, generated from rows and docstrings."""
