"""Errors that the user can correct; trainers print them as one line without a traceback."""

__all__ = ["DataError", "UserError"]


class DataError(RuntimeError):
    """A data file is missing or damaged, or can't be written; the message names the file."""


class UserError(RuntimeError):
    """An option or a run folder can't be used; the message says what is expected."""
