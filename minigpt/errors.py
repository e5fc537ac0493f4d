"""Mistakes that a person can mend."""


class UserError(ValueError):
    """What was given, what was expected, what to do, as sentences. The commands print it and end with status 2."""
