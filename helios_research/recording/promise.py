"""How long a recording's own header says that it is, where headers count exactly."""

import struct

from helios_research.recording.container import FLAC, WAV, Container
from helios_research.recording.hashing import SeekableFile

_CHUNK_HEADER_BYTES = 8
_MOST_CHUNKS = 64
# What recorders write while they do not know yet: nothing, or about the largest number that a
# signed or an unsigned 32-bit field holds.
_NOT_KNOWN_YET = 0x7FFF_0000
# FLAC's first block begins after its magic and is STREAMINFO (RFC 9639, section 8.2): in its bytes
# 10 to 17 are 20 bits of sample rate, 8 of channels and depth, 36 of samples.
_STREAMINFO_RATE_AT = 4 + 4 + 10


def promised_s(file: SeekableFile, container: Container) -> float | None:
    """Read how long a recording is meant to be."""
    if container is WAV:
        return _promised_by_wav(file)
    if container is FLAC:
        return _promised_by_flac(file)
    return None


def _promised_by_wav(file: SeekableFile) -> float | None:
    bytes_per_s = 0
    at = 12
    for _ in range(_MOST_CHUNKS):
        header = _read_at(file, at, _CHUNK_HEADER_BYTES)
        if len(header) < _CHUNK_HEADER_BYTES:
            return None
        name, size = struct.unpack("<4sI", header)
        if name == b"data":
            is_told = bytes_per_s > 0 and 0 < size < _NOT_KNOWN_YET
            return size / bytes_per_s if is_told else None
        if name == b"fmt ":
            form = _read_at(file, at + _CHUNK_HEADER_BYTES, 16)
            if len(form) < 16:
                return None
            _, _, rate, _, frame_bytes, _ = struct.unpack("<HHIIHH", form)
            bytes_per_s = rate * frame_bytes
        # Chunks begin at even places.
        at += _CHUNK_HEADER_BYTES + size + size % 2
    return None


def _promised_by_flac(file: SeekableFile) -> float | None:
    packed = _read_at(file, _STREAMINFO_RATE_AT, 8)
    # What an encoder put before it, such as tags of the MP3 kind, hides it from here.
    if len(packed) < 8 or _read_at(file, 0, 4) != b"fLaC":
        return None
    bits = int.from_bytes(packed, "big")
    rate, samples = bits >> 44, bits & 0xF_FFFF_FFFF
    return samples / rate if rate and samples else None


def _read_at(file: SeekableFile, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)
