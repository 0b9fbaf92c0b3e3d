"""What the user can mend, each error one sentence."""

__all__ = ["DataError", "UserError"]


class DataError(RuntimeError):
    """A data file that is missing, damaged, or can't be written; the message names it."""


class UserError(RuntimeError):
    """A setting or a run folder that doesn't fit; the message says what does."""
