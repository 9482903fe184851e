"""Language models: the next token of a text, trained, scored and written."""
