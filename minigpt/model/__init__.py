"""The Transformer, one formula a file; it knows numbers only, never text."""
