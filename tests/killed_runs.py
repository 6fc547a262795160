"""Runs the command in children that die at a given moment: the other half of tests/test_cli_resume.py.

A process of its own, so that it has neither threads nor the test's memory when it forks; a child then starts in milliseconds.
It reads one request a line from standard input and answers each with one line. A request has the command's `arguments`, the
`log` for its output, whether there are `pictures`, and the moment:

    calls     the child kills itself at that call of a Python or C function
    size      ... or rather, from that call on, in the middle of writing the first file that grows beyond so many bytes
    seconds   it is killed from outside after that time
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from typing import Any

from fastnn.cli import gpt, main, train

CHECKPOINT_SECONDS = 0.01  # so that runs of a second have checkpoints within their epochs


def serve() -> None:
    import matplotlib.backends.backend_agg
    import matplotlib.font_manager  # noqa: F401

    for line in sys.stdin:
        request = json.loads(line)
        receive, send = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(receive)
            live(request, send)
        os.close(send)
        if request.get("seconds") is not None:
            time.sleep(request["seconds"])
            os.kill(child, signal.SIGKILL)
        with os.fdopen(receive) as answers:
            counted = answers.read()
        _, status = os.waitpid(child, 0)
        answer = {"status": os.waitstatus_to_exitcode(status), "counted": json.loads(counted) if counted else None}
        print(json.dumps(answer), flush=True)


def live(request: dict[str, Any], send: int) -> None:
    """The child's life; it does not return."""
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    command: Any = gpt if request["arguments"][1] == "gpt" else train
    command._CHECKPOINT_SECONDS = CHECKPOINT_SECONDS
    if not request["pictures"]:
        sys.modules["matplotlib"] = None  # type: ignore[assignment]
    calls = 0
    at_end_of_training = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        if event in ("call", "c_call"):
            calls += 1
            if calls == request.get("calls"):
                die(request.get("size"))

    write_files = command._write_files

    def note(*arguments: Any) -> None:
        nonlocal at_end_of_training
        at_end_of_training = calls
        write_files(*arguments)

    command._write_files = note
    sys.setprofile(count)
    status = main(request["arguments"])
    sys.setprofile(None)
    sys.stdout.flush()
    with os.fdopen(send, "w") as answers:
        json.dump({"calls": calls, "training": at_end_of_training}, answers)
    os._exit(status)


def die(size: int | None) -> None:
    if size is None:
        os.kill(os.getpid(), signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it, which makes it an error to report


if __name__ == "__main__":
    serve()
