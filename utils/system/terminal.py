"""Text of a user's files on its way to the terminal."""


def printable(text: str) -> str:
    """`text` with control characters as escapes: a file's name must not command the terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
