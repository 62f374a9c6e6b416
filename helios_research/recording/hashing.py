"""A file that is hashed while a decoder reads it."""

import hashlib
import io
from typing import Protocol

_BLOCK_BYTES = 262_144


class SeekableFile(Protocol):
    """The part of a binary file that reading a recording needs."""

    def read(self, size: int = -1, /) -> bytes:
        """Read some bytes."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move to a position and return it."""

    def tell(self) -> int:
        """Return the position."""


class HashingReader:
    """Hashes a file while others read it, each byte once and in order.

    A decoder that jumps about (MP4 keeps its index at the end) leaves gaps, which ``finish``
    reads afterwards.
    """

    def __init__(self, file: SeekableFile) -> None:
        self.failure: Exception | None = None
        self._file = file
        self._hash = hashlib.sha256()
        self._hashed = 0

    def read(self, size: int = -1, /) -> bytes:
        """Read, and hash what has not been hashed yet."""
        try:
            at = self._file.tell()
            data = self._file.read(size)
        except Exception as error:
            self.failure = error
            raise
        if at <= self._hashed < at + len(data):
            self._hash.update(memoryview(data)[self._hashed - at :])
            self._hashed = at + len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to a position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Say where the file stands."""
        return self._file.tell()

    def finish(self) -> tuple[str, int]:
        """Hash what was not read yet."""
        if self.failure is not None:
            raise self.failure
        self.seek(self._hashed)
        while self.read(_BLOCK_BYTES):
            pass
        return self._hash.hexdigest(), self._hashed
