"""How numbers of things are said, in figures, reports, widgets and on the command line."""


def counted(number: int, thing: str) -> str:
    """Word a number of things."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
