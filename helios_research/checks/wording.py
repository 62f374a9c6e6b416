"""Numbers with what they count, as a person would say them."""


def counted(number: int, thing: str) -> str:
    """Say how many there are of something.

    Parameters
    ----------
    number
        How many.
    thing
        What is counted, in the singular; its plural has an ``s``.

    Returns
    -------
    str
        Such as ``1 recording`` or ``2,000 recordings``.
    """
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
