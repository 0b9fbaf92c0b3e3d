"""Training scripts, one a task, and what they share.

Importing it imports TensorFlow, without the lines on stderr that say nothing about a run.
"""

import importlib
import os
import shutil
import subprocess
import sys

# What TensorFlow's libraries write straight to file descriptor 2 as they are loaded, before
# TF_CPP_MIN_LOG_LEVEL counts: messages of severity I, and that there may be some.
_CHATTER = r"^I[0-9]{4} |^WARNING: All log messages before absl::InitializeLog\(\) is called"


def _import_tensorflow_quietly():
    # Another process passes all else on, even if the import kills this one. It has a session of its
    # own, so that Ctrl-C does not end it first.
    stderr = os.dup(2)
    command = ["grep", "--line-buffered", "--text", "-vE", _CHATTER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=stderr, start_new_session=True
    ) as process:
        os.dup2(process.stdin.fileno(), 2)
        try:
            importlib.import_module("tensorflow")
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)


# Users who set the level themselves want to see what it lets through.
if "TF_CPP_MIN_LOG_LEVEL" not in os.environ and "tensorflow" not in sys.modules:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # what goes wrong raises an exception too
    if sys.stderr is not None and shutil.which("grep"):
        _import_tensorflow_quietly()
