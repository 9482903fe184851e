"""How a language model reads a text: a page that is alive without a server."""
