"""A page about runs: figures, tables and texts in one file that opens anywhere."""
