"""How numbers of things are said, in figures, reports, widgets and on the command line."""


def counted(number: int, thing: str) -> str:
    """Word a number of things.

    Parameters
    ----------
    number
        How many.
    thing
        What is counted, in the singular; its plural has an ``s``.

    Returns
    -------
    str
        Such as ``1 recording`` or ``1,376 recordings``.
    """
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
