"""The command line: parses, calls the same functions as a notebook would, prints.

Importing the module of commands is what registers them.
"""

import helios_research.cli.commands  # noqa: F401 - registers the commands
from helios_research.cli.application import app, main

__all__ = ["app", "main"]
