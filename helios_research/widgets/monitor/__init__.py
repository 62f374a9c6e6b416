"""The monitor of a submission."""
