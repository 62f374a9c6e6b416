"""The way in to the command line, which an interrupt finds ready before the libraries have loaded."""

import signal
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line; the entry point of ``helios-research``."""
    # As Ctrl-C: what a scheduler or a container sends before it kills.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        # Takes a second or two, in which somebody may think better of it.
        from helios_research.cli import main as run

        run()
    except KeyboardInterrupt:
        print("Interrupted. Run the same command again to go on.", file=sys.stderr)  # noqa: T201
        sys.exit(130)


if __name__ == "__main__":
    main()
