"""Unpacking an answer no further than it may be read."""

import zlib

_PACKED = frozenset({"gzip", "x-gzip", "deflate"})
# zlib's own sign for: find out whether it is gzip's form or zlib's.
_EITHER_FORM = 32 + zlib.MAX_WBITS


class Unpacker:
    """Takes an answer piece by piece, and keeps so many bytes of what is packed in it.

    Answers are asked for as they are, but something on the way may pack them all the same, and 64 kB
    of it may hold 64 MB: httpx would unpack a piece as a whole before anybody could stop it. Other
    ways of packing than these are left as they are, and then no JSON is found in them.
    """

    def __init__(self, encoding: str, most: int) -> None:
        self._most = most
        is_packed = encoding.strip().lower() in _PACKED
        self._inflater = zlib.decompressobj(_EITHER_FORM) if is_packed else None
        self.body = bytearray()

    @property
    def is_full(self) -> bool:
        """Whether there is more than may be kept."""
        return len(self.body) > self._most

    def take(self, piece: bytes) -> None:
        """Take the next piece; what no longer fits is left out."""
        left = self._most + 1 - len(self.body)
        # To the inflater 0 means: without limit.
        if left > 0:
            whole = self._inflater.decompress(piece, left) if self._inflater else piece
            self.body += whole[:left]
