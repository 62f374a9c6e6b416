"""Any bytes may be a recording: what they contain is found, or why not, in bounded time and memory."""

import random
import struct
from pathlib import Path

import pytest
from hypothesis import settings

from helios_research.demo import demo_cohort_path

# One real recording of each of the six formats.
NAMES = (
    "007_visit1.flac",
    "007_visit2.mp4",
    "007_visit3.ogg",
    "P01_visit1.mp3",
    "P02_visit1.webm",
    "P04_visit3.wav",
)
SPOILED_PER_FORMAT = settings().max_examples // 12

# A decoder that crashes takes its process along, so that it must not be this one.
EXAMINE_ALL = """
from helios_research.recording import examine

def examine_all(folder):
    for path in sorted(Path(folder).iterdir()):
        facts = examine(str(path))
        assert facts.size_bytes == path.stat().st_size, path
        if facts.problem is None:
            assert 0 < facts.duration_s < 10_000 and 0 <= facts.speech_s <= facts.duration_s, facts
            assert facts.sample_rate_hz > 0 and facts.channels > 0, facts
        else:
            assert 5 < len(facts.problem) < 300, facts
"""
EXAMINE = "examine_all(sys.argv[1])"
MEGABYTES = 700


def recordings() -> dict[str, bytes]:
    folder = demo_cohort_path() / "recordings"
    return {name: (folder / name).read_bytes() for name in NAMES}


def spoiled(original: bytes, other: bytes, chance: random.Random) -> bytes:
    """Bytes with bits flipped, parts taken out, cut off, doubled, or of another file."""
    data = bytearray(original)
    # Heads decide how all the rest is understood.
    reach = chance.choice([64, 1_000, len(data)])
    for _ in range(chance.choice([1, 3, 30])):
        at = chance.randrange(min(reach, len(data)) or 1)
        length = chance.choice([1, 4, 64, 5_000])
        match chance.choice(["flip", "set", "remove", "copy", "splice"]):
            case "flip" if data:
                data[at] ^= 1 << chance.randrange(8)
            case "set":
                data[at : at + length] = chance.choice([b"\x00", b"\xff"]) * length
            case "remove":
                del data[at : at + length]
            case "copy":
                data[at:at] = data[at : at + length]
            case "splice":
                start = chance.randrange(len(other))
                data[at : at + length] = other[start : start + length]
    if chance.random() < 0.3:
        del data[chance.randrange(len(data) or 1) :]
    return bytes(data)


@pytest.mark.parametrize("name", NAMES)
def test_spoiled_recordings_are_described_in_little_memory(
    tmp_path: Path, in_little_memory, name: str
) -> None:
    files = recordings()
    for number in range(SPOILED_PER_FORMAT):
        chance = random.Random(f"{name}:{number}")
        data = spoiled(files[name], files[chance.choice(NAMES)], chance)
        (tmp_path / f"{number:05}{Path(name).suffix}").write_bytes(data)
    told = in_little_memory(EXAMINE, tmp_path, megabytes=MEGABYTES, imports=EXAMINE_ALL)
    assert told == "read"


def promising_hours() -> dict[str, bytes]:
    """Heads that declare hours of sound, or thousands of channels, before a second of it."""
    files = recordings()
    second = bytes(32_000)
    forms = {
        "hours": (1, 16_000, 16, 0xFFFFFFF0),
        "one sample a second": (1, 1, 16, 32_000),
        "many channels": (65_535, 16_000, 16, 0x7FFFFFFF),
        "fast": (1, 0xFFFFFFFF, 16, 32_000),
    }
    made = {}
    for name, (channels, rate, bits, size) in forms.items():
        align = channels * bits // 8 % 65_536
        form = struct.pack("<HHIIHH", 1, channels, rate, rate * align % 2**32, align, bits)
        head = b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack("<I", 16) + form
        made[f"{name}.wav"] = head + b"data" + struct.pack("<I", size) + second
    flac = bytearray(files["007_visit1.flac"])
    # The last 36 bits of these 8 bytes are the number of samples.
    flac[21] |= 0x0F
    flac[22:26] = b"\xff\xff\xff\xff"
    made["samples.flac"] = bytes(flac)
    mp4 = bytearray(files["007_visit2.mp4"])
    for box in (b"mvhd", b"mdhd"):
        at = mp4.find(box)
        mp4[at + 20 : at + 24] = b"\x7f\xff\xff\xff"
    made["duration.mp4"] = bytes(mp4)
    ogg = bytearray(files["007_visit3.ogg"])
    at = ogg.rfind(b"OggS")
    ogg[at + 6 : at + 14] = b"\xff\xff\xff\xff\xff\xff\xff\x7f"
    made["granules.ogg"] = bytes(ogg)
    return made


@pytest.mark.parametrize("name", promising_hours())
def test_a_head_that_declares_hours_costs_no_more_than_its_bytes(
    tmp_path: Path, in_little_memory, name: str
) -> None:
    (tmp_path / name).write_bytes(promising_hours()[name])
    told = in_little_memory(EXAMINE, tmp_path, megabytes=MEGABYTES, imports=EXAMINE_ALL)
    assert told == "read"
