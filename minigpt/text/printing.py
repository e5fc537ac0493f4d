"""Text of others on one line of a terminal or a picture."""


def on_one_line(text: str) -> str:
    """Line breaks and unprintable characters escaped as in Python."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def shortened(text: str, most: int = 100) -> str:
    """At most `most` characters."""
    return text if len(text) <= most else text[: most - 3] + "..."
