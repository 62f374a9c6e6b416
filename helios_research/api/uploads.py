"""A recording on its way to the upload host, checked against its SHA-256 as it goes."""

import hashlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

from helios_research.errors import HeliosResearchError

FALLBACK_MEDIA_TYPE = "application/octet-stream"

_DIFFERENT = (
    "The file is not what it was when it was checked, so it was not sent: make sure that nothing "
    "writes to it, then submit again."
)


class RecordingChangedError(Exception):
    """The bytes cannot be read or are not the expected ones.

    Raised inside an upload, before the last of its bytes is given out.
    """


@dataclass(frozen=True, slots=True)
class UploadBody:
    """The bytes to upload, opened again for each attempt."""

    size_bytes: int
    media_type: str | None
    sha256: str
    open: Callable[[], Iterator[bytes]]

    def checked_blocks(self) -> Generator[bytes, None, None]:
        """Give the bytes, but the last block only when all of them are the expected ones.

        An upload whose last block never comes is never completed by the upload host, so a
        file that changed since it was hashed cannot be scored in place of the one intended.
        """
        digest, seen, held = hashlib.sha256(), 0, b""
        for block in self._blocks():
            seen += len(block)
            if seen > self.size_bytes:
                raise RecordingChangedError(_DIFFERENT)
            digest.update(block)
            if held:
                yield held
            held = block
        if seen != self.size_bytes or digest.hexdigest() != self.sha256.lower():
            raise RecordingChangedError(_DIFFERENT)
        if held:
            yield held

    def _blocks(self) -> Iterator[bytes]:
        try:
            yield from filter(None, self.open())
        except (OSError, HeliosResearchError) as problem:
            message = f"The recording cannot be read any more, so it was not sent. {problem}"
            raise RecordingChangedError(message) from problem
