"""Text and conversations to token ids and a mask of the supervised ones; independent of models."""
