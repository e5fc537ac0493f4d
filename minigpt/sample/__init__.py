"""Probabilities to words."""
