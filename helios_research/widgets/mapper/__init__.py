"""The mapper of a table's columns."""
