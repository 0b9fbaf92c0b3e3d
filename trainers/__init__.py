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
    # A process of its own passes all else on, also where the import ends this one. Ctrl-C, which
    # goes to a session, must not end it before.
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


# Who sets the level wants to see what it lets through.
if "TF_CPP_MIN_LOG_LEVEL" not in os.environ and "tensorflow" not in sys.modules:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # what goes wrong is an exception besides
    if sys.stderr is not None and shutil.which("grep"):
        _import_tensorflow_quietly()
