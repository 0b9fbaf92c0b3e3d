"""The most memory that this process has had."""

import pathlib
import re

__all__ = ["MEGABYTE", "peak_mb"]

MEGABYTE = 2**20


def peak_mb() -> float:
    """Peak resident memory of this process [MB].

    Not `getrusage`: what that says of a process starts from its parent's memory.
    """
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)[1]) * 1024 / MEGABYTE
