"""The most memory that this process has had."""

import pathlib
import re
import sys

__all__ = ["MEGABYTE", "peak_mb"]

MEGABYTE = 2**20


def peak_mb() -> float:
    """Peak of TensorFlow's allocator where it has a GPU, else peak resident memory [MB].

    Not `getrusage`: what that says of a process starts from its parent's memory.
    """
    tensorflow = sys.modules.get("tensorflow")  # to import it would take memory itself
    if tensorflow is not None and tensorflow.config.list_physical_devices("GPU"):
        return tensorflow.config.experimental.get_memory_info("GPU:0")["peak"] / MEGABYTE
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)[1]) * 1024 / MEGABYTE
