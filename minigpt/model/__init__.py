"""The Transformer, one formula per file; it works on numbers only, never on text."""
