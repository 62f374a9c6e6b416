"""The entry point of the command line, ready for an interrupt before the libraries have loaded."""

import signal
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line; the entry point of ``helios-research``."""
    # As Ctrl-C: what a scheduler or a container sends before it kills.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        # Takes a moment, in which the user may press Ctrl-C already.
        from helios_research.cli import main as run

        run()
    except KeyboardInterrupt:
        print("Interrupted. Run the same command again to continue.", file=sys.stderr)  # noqa: T201
        sys.exit(130)


if __name__ == "__main__":
    main()
