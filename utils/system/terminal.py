"""Text of a user's files on its way to the terminal."""


def printable(text: str) -> str:
    """Escape control characters in `text`, so that a file's name cannot control the terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
