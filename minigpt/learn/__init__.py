"""Numbers to better numbers: the loss, the optimiser, the loop."""
