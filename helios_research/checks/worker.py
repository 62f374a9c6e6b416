"""What runs in a worker process: tasks come in on one pipe, answers go out on another."""

import os
import pickle
import signal
import sys
import threading
import time
from typing import Any

_LOOK_AGAIN_S = 1.0
"""Seconds after which to see whether the parent is still there. Between tasks its pipe says so."""


def main() -> None:
    """Answer tasks until the other end of the pipe is closed."""
    # An interrupt at the keyboard reaches every process of the terminal, and a scheduler's SIGTERM
    # every process of a job; our parent decides.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=[os.getppid()], daemon=True).start()
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # Whatever a library prints must not get between the answers.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    _adopt(pickle.load(requests))  # noqa: S301 - our own parent wrote it
    answers.write(pickle.dumps("ready"))
    answers.flush()
    while True:
        try:
            task = pickle.load(requests)  # noqa: S301 - as above
        except EOFError:
            return
        answers.write(_outcome(task))
        answers.flush()


def _end_with_parent(parent: int) -> None:
    """End in the middle of a task whose answer nobody waits for any more."""
    while os.getppid() == parent:
        time.sleep(_LOOK_AGAIN_S)
    os._exit(1)


def _adopt(settings: dict[str, Any]) -> None:
    if settings:
        from fsspec.config import conf

        conf.update(settings)


def _outcome(task: bytes) -> bytes:
    try:
        function, args, kwargs = pickle.loads(task)  # noqa: S301 - as above
        return pickle.dumps(("returned", function(*args, **kwargs)))
    # The caller gets it, in its own process; as text, because not every error survives the way.
    except Exception as error:  # noqa: BLE001
        return pickle.dumps(("raised", RuntimeError(f"{type(error).__name__}: {error}")))


if __name__ == "__main__":
    main()
