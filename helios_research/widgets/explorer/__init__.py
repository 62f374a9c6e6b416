"""The explorer of results."""
