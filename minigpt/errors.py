"""Errors that a user can fix."""


class UserError(ValueError):
    """In sentences: what was given, what was expected, what to do. The commands print it and exit with status 2."""
