"""Which container the bytes are in, told from their first bytes and never from the file's name."""

from dataclasses import dataclass

from helios_research.recording.hashing import SeekableFile

_ID3_HEADER_BYTES = 10
_MOST_ID3_TAGS = 8
_SEARCHED_FOR_MP3_BYTES = 65_536
_EBML_SEARCHED_BYTES = 256
_ADTS_MASK, _ADTS_SYNC = 0xFFF6, 0xFFF0

# ISO/IEC 11172-3 and 13818-3, layer III: kbit/s by index, for MPEG-1 and for MPEG-2 and 2.5.
_MP3_KBITS = (
    (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
_MPEG1_SAMPLE_RATES_HZ = (44_100, 48_000, 32_000)


@dataclass(frozen=True, slots=True)
class Container:
    """A kind of file that can hold audio."""

    name: str
    demuxer: str | None
    media_type: str | None


WAV = Container("wav", "wav", "audio/wav")
FLAC = Container("flac", "flac", "audio/flac")
MP3 = Container("mp3", "mp3", "audio/mpeg")
MP4 = Container("mp4", "mov", "audio/mp4")
OGG = Container("ogg", "ogg", "audio/ogg")
WEBM = Container("webm", "matroska", "audio/webm")
ADTS = Container("adts", "aac", None)
QUICKTIME = Container("mov", "mov", None)

LISTED = (FLAC, MP3, MP4, OGG, WEBM, WAV)
"""The six containers that Helios' documentation names."""

_MATROSKA = Container("matroska", None, None)
_THREE_GP = Container("3gp", None, None)
_IMAGE = Container("heif", None, None)
_AIFF = Container("aiff", None, None)
_ASF = Container("wma", None, None)
_AU = Container("au", None, None)
_CAF = Container("caf", None, None)
_AMR = Container("amr", None, None)
_AVI = Container("avi", None, None)
_WAVE64 = Container("w64", None, None)
_ZIP = Container("zip", None, None)

_BY_MAGIC = (
    (b"fLaC", FLAC),
    (b"OggS", OGG),
    (b"FORM", _AIFF),
    (b"\x30\x26\xb2\x75", _ASF),
    (b".snd", _AU),
    (b"caff", _CAF),
    (b"#!AMR", _AMR),
    (b"riff\x2e\x91\xcf\x11", _WAVE64),
    # Within an archive there may be what looks like the frames of an MP3.
    (b"PK\x03\x04", _ZIP),
)


def sniff(file: SeekableFile) -> Container | None:
    """Tell a file's container from its bytes."""
    start = _skip_id3(file)
    head = _read_at(file, start, 64)
    for magic, container in _BY_MAGIC:
        if head.startswith(magic):
            return container
    if head[:4] in (b"RIFF", b"RF64", b"BW64"):
        return {b"WAVE": WAV, b"AVI ": _AVI}.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _by_brand(head[8:12])
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return _by_doctype(_read_at(file, start, _EBML_SEARCHED_BYTES))
    return _by_frames(file, start)


def _by_brand(brand: bytes) -> Container:
    if brand.startswith((b"3gp", b"3g2")):
        return _THREE_GP
    if brand == b"qt  ":
        return QUICKTIME
    if brand.startswith((b"hei", b"avif", b"mif1")):
        return _IMAGE
    return MP4


def _by_doctype(head: bytes) -> Container | None:
    # EBML element 0x4282 is the DocType; its length is one byte here as no name is longer than 126.
    at = head.find(b"\x42\x82")
    if at < 0 or at + 3 > len(head):
        return None
    length = head[at + 2] & 0x7F
    doctype = head[at + 3 : at + 3 + length].rstrip(b"\0")
    return {b"webm": WEBM, b"matroska": _MATROSKA}.get(doctype)


def _skip_id3(file: SeekableFile) -> int:
    start = 0
    for _ in range(_MOST_ID3_TAGS):
        header = _read_at(file, start, _ID3_HEADER_BYTES)
        if len(header) < _ID3_HEADER_BYTES or not header.startswith(b"ID3"):
            break
        size = 0
        for byte in header[6:10]:
            size = size << 7 | byte & 0x7F
        start += _ID3_HEADER_BYTES + size
    return start


def _by_frames(file: SeekableFile, start: int) -> Container | None:
    """Find MPEG audio by two frame headers that agree, since it has no magic bytes of its own."""
    data = _read_at(file, start, _SEARCHED_FOR_MP3_BYTES)
    if _is_adts(data):
        return ADTS
    at = data.find(b"\xff")
    while at >= 0:
        length = _mp3_frame_bytes(data[at : at + 4])
        if length and _same_stream(data[at : at + 4], data[at + length : at + length + 4]):
            return MP3
        at = data.find(b"\xff", at + 1)
    return None


def _is_adts(data: bytes) -> bool:
    if len(data) < 7 or int.from_bytes(data[:2]) & _ADTS_MASK != _ADTS_SYNC:
        return False
    length = (data[3] & 0x03) << 11 | data[4] << 3 | data[5] >> 5
    following = data[length : length + 2]
    return length > 7 and int.from_bytes(following) & _ADTS_MASK == _ADTS_SYNC


def _mp3_frame_bytes(header: bytes) -> int:
    """Length of the layer III frame that begins with these four bytes, or 0 if none does."""
    if len(header) < 4 or header[1] & 0xE0 != 0xE0 or header[1] & 0x06 != 0x02:
        return 0
    version, bit_rate, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or bit_rate in (0, 15) or rate == 3:
        return 0
    is_mpeg1 = version == 3
    kbits = _MP3_KBITS[not is_mpeg1][bit_rate - 1]
    sample_rate_hz = _MPEG1_SAMPLE_RATES_HZ[rate] >> {3: 0, 2: 1, 0: 2}[version]
    padding = header[2] >> 1 & 1
    return (144 if is_mpeg1 else 72) * kbits * 1000 // sample_rate_hz + padding


def _same_stream(first: bytes, second: bytes) -> bool:
    """Whether two frame headers share version, layer and sample rate."""
    return (
        _mp3_frame_bytes(second) > 0
        and first[1] & 0xFE == second[1] & 0xFE
        and first[2] & 0x0C == second[2] & 0x0C
    )


def _read_at(file: SeekableFile, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)
