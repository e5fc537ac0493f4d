"""Words to numbers, with a mask that says what is learned; it knows nothing of models."""
