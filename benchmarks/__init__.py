"""Measurements of memory and time; each module prints a table."""
