"""What goes wrong with a data file."""

__all__ = ["DataError"]


class DataError(RuntimeError):
    """A data file that is missing, damaged, or can't be written; the message names it."""
