"""The command line: parses, calls the same functions as a notebook would, prints.

Importing the module of commands is what registers them.
"""

from helios_research.cli.application import app, main

__all__ = ["app", "commands", "main"]
