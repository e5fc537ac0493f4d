"""A run's folder: what was asked for, where it is, what it measured, and how to resume it."""
