"""How good, and how big."""
