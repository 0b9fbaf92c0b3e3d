"""Processes in which something is measured, and the most memory that one has had."""

import multiprocessing
import os
import pathlib
import re
import resource
import sys
import tempfile
from collections.abc import Callable, Mapping
from typing import Any
from unittest import mock

__all__ = ["MEGABYTE", "in_process", "peak_mb", "with_buffers"]

MEGABYTE = 2**20
POLL_SECONDS = 0.05


def peak_mb() -> float:
    """Peak of TensorFlow's allocator where it has a GPU, else peak resident memory [MB].

    Not `getrusage`: what that says of a process starts from its parent's memory.
    """
    tensorflow = sys.modules.get("tensorflow")  # to import it would take memory itself
    if tensorflow is not None and tensorflow.config.list_physical_devices("GPU"):
        return tensorflow.config.experimental.get_memory_info("GPU:0")["peak"] / MEGABYTE
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)[1]) * 1024 / MEGABYTE


def in_process(
    worker: Callable,
    *arguments: Any,
    limit_mb: float = float("inf"),
    environment: Mapping[str, str] | None = None,
) -> Any:
    """Returns a worker's answer, from a fresh process; None if that grows beyond the limit.

    Raises:
      RuntimeError: if it fails; its traceback is printed.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(sender, worker, arguments))
    with mock.patch.dict(os.environ, environment or {}):
        process.start()
    try:
        while not receiver.poll(POLL_SECONDS):
            if not process.is_alive() and not receiver.poll():
                raise RuntimeError(f"{worker.__name__} failed")
            pages = pathlib.Path(f"/proc/{process.pid}/statm").read_text().split()
            if len(pages) > 1 and int(pages[1]) * resource.getpagesize() > limit_mb * MEGABYTE:
                return None
        return receiver.recv()
    finally:
        process.kill()
        process.join()


def with_buffers(
    worker: Callable, *arguments: Any, environment: Mapping[str, str] | None = None
) -> tuple[Any, float | None]:
    """Returns a worker's answer from a fresh process, and the memory of what XLA compiles there.

    Returns:
      The answer; and the buffers [MB] of the XLA program that takes most, by XLA's own account, or
      None if XLA gives none.

    Raises:
      RuntimeError: see `in_process`.
    """
    with tempfile.TemporaryDirectory() as folder:
        added = dict(environment or {})
        flags = added.get("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))
        added["XLA_FLAGS"] = f"{flags} --xla_dump_to={folder} --xla_dump_hlo_as_text"
        answer = in_process(worker, *arguments, environment=added)
        totals = [
            re.search(r"Total bytes used: (\d+)", path.read_text())
            for path in pathlib.Path(folder).glob("*memory-usage-report*")
        ]
    largest = max((int(total[1]) for total in totals), default=None)
    return answer, None if largest is None else largest / MEGABYTE


def _answer(sender, worker, arguments):
    sender.send(worker(*arguments))
