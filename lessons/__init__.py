"""The lessons: README.md is the map, `python -m lessons` says how far you are."""
