"""What runs in a worker process: tasks come in on one pipe, answers go out on another."""

import os
import pickle
import signal
import sys
from typing import Any


def main() -> None:
    """Answer tasks until the other end of the pipe is closed."""
    # An interrupt at the keyboard reaches every process of the terminal; our parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
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
