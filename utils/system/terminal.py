"""What goes to the terminal: text of a user's files, and bars."""

from multiprocessing import parent_process


def printable(text: str) -> str:
    """Escape control characters in `text`, so that a file's name cannot control the terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def hides_bars() -> bool | None:
    """Return tqdm's `disable`: true in a child process, whose bar would disturb the others'.

    `None` leaves it to whether there is a terminal.
    """
    return True if parent_process() is not None else None
