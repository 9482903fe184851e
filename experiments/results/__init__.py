"""Committed result rows (JSON, PNG), and the one module that reads and writes them."""
