"""Headings of values, in tables, logs and figures."""

__all__ = ["with_unit"]


def with_unit(name: str, unit: str | None) -> str:
    """Returns the name of a value with its unit in brackets, or the name alone without a unit.

    >>> with_unit("gap", "eV"), with_unit("n", "")
    ('gap [eV]', 'n')
    """
    return f"{name} [{unit}]" if unit else name
