"""Training: the loss, the optimizer, the loop."""
