"""A training run: its options, folder, checkpoints, metrics and reports, and how it is resumed."""
