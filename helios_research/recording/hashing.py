"""A file that is hashed while a decoder reads it."""

import hashlib
import io
from typing import Protocol

_BLOCK_BYTES = 262_144


class SeekableFile(Protocol):
    """The part of a binary file that reading a recording needs."""

    def read(self, size: int = -1, /) -> bytes:
        """Read some bytes.

        Parameters
        ----------
        size
            How many at most; all that are left where it is negative.
        """

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move to a position and return it.

        Parameters
        ----------
        offset
            Where to, in bytes.
        whence
            From where, as in ``io.IOBase.seek``.
        """

    def tell(self) -> int:
        """Return the position."""


class HashingReader:
    """Hashes a file while others read it, each byte once and in order.

    A decoder that jumps about (MP4 keeps its index at the end) leaves gaps, which ``finish``
    reads afterwards.

    Parameters
    ----------
    file
        The file to read.

    Attributes
    ----------
    failure
        What kept us from reading, if anything did: decoders swallow it or turn it into an
        error of their own.
    """

    def __init__(self, file: SeekableFile) -> None:
        self.failure: Exception | None = None
        self._file = file
        self._hash = hashlib.sha256()
        self._hashed = 0

    def read(self, size: int = -1, /) -> bytes:
        """Read, and hash what has not been hashed yet.

        Parameters
        ----------
        size
            Most bytes to read; -1 reads to the end.

        Returns
        -------
        bytes
            What was read, empty at the end.
        """
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
        """Move to a position.

        Parameters
        ----------
        offset
            Bytes from where ``whence`` says.
        whence
            As for any file in Python.

        Returns
        -------
        int
            The new position in bytes.
        """
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Say where the file stands.

        Returns
        -------
        int
            The position in bytes.
        """
        return self._file.tell()

    def finish(self) -> tuple[str, int]:
        """Hash what was not read yet.

        Returns
        -------
        tuple of str and int
            SHA-256 in hexadecimal digits, and the number of bytes.

        Raises
        ------
        Exception
            Whatever kept us from reading, now or before.
        """
        if self.failure is not None:
            raise self.failure
        self.seek(self._hashed)
        while self.read(_BLOCK_BYTES):
            pass
        return self._hash.hexdigest(), self._hashed
