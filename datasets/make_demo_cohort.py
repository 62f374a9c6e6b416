"""Make the demo cohort: synthesized recordings and the manifest that describes them.

Run it with ``make dataset``. It needs the program espeak-ng (``apt-get install espeak-ng``).
Twelve invented participants read aloud at three visits. Six takes went wrong in ways that happen
in every study, and three rows of the manifest hold a mistake. Everything follows from the tables
at the top, so the same programs make the same bytes again.
"""

import csv
import io
import itertools
import re
import shutil
import subprocess
import sys
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from scipy.signal import resample_poly

from helios_research.recording import examine

HERE = Path(__file__).parent
COHORT = HERE / "demo_cohort"
RECORDINGS = COHORT / "recordings"

SAMPLE_RATE_HZ = 16_000
FRAME_SAMPLES = 1024
SPEECH_LEVEL_DBFS = -24.0
ROOM_NOISE_DBFS = -62.0
LEAD_S = 0.5
SEED = 20_261_122

LARGEST_SIZE_BYTES = 6_000_000
READING_S = (12.0, 45.0)
LEAST_SPEECH_S = 12.0

Samples = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Encoding:
    """One of the formats that Helios accepts, as small as speech allows."""

    suffix: str
    container: str
    codec: str
    bit_rate: int = 0
    layout: str = "mono"


WAV = Encoding(".wav", "wav", "pcm_s16le")
FLAC = Encoding(".flac", "flac", "flac")
MP3 = Encoding(".mp3", "mp3", "libmp3lame", 24_000)
MP3_SMALLEST = Encoding(".mp3", "mp3", "libmp3lame", 16_000)
MP4 = Encoding(".mp4", "mp4", "aac", 24_000)
OPUS = Encoding(".ogg", "ogg", "libopus", 14_000)
# FFmpeg's own Vorbis encoder, the one in PyAV's wheels, knows two channels only.
VORBIS = Encoding(".ogg", "ogg", "vorbis", 32_000, layout="stereo")
WEBM = Encoding(".webm", "webm", "libopus", 14_000)

# Formats and numbers of words, one after the other over all planned recordings.
TURNS = (
    (MP3, 78),
    (OPUS, 92),
    (MP4, 66),
    (WEBM, 104),
    (VORBIS, 58),
    (MP3, 86),
    (FLAC, 44),
    (MP4, 72),
    (OPUS, 98),
    (WEBM, 62),
    (MP3, 82),
    (WAV, 40),
)


@dataclass(frozen=True)
class Participant:
    """An invented person: what the manifest says of them, and which voice speaks for them."""

    user_label: str
    date_of_birth: str
    birth_sex: str
    language: str
    arm: str
    site: str
    voice: str
    words_per_minute: int


# In espeak-ng 1.51 some variants are silently the plain voice (en-gb+f3 is en-gb): these twelve
# all sound different. The label 007 and the site NA are there to stay text in every table.
PARTICIPANTS = (
    Participant("P01", "1986-03-14", "MALE", "en-GB", "day_shift", "01", "en-gb", 150),
    Participant("P02", "1991-11-02", "FEMALE", "en-GB", "night_shift", "01", "en+f3", 140),
    Participant("P03", "1978-06-01", "MALE", "en-GB", "day_shift", "01", "en-gb-scotland", 160),
    Participant("P04", "1995-01-23", "FEMALE", "en-GB", "night_shift", "01", "en-gb-x-rp+f4", 155),
    Participant("P05", "1969-09-30", "MALE", "en-GB", "day_shift", "02", "en-gb-x-gbclan", 145),
    Participant("P06", "1983-04-01", "MALE", "en-GB", "night_shift", "02", "en-gb-x-gbcwmd", 135),
    Participant("007", "1974-12-08", "FEMALE", "en-US", "day_shift", "02", "en-us+f4", 150),
    Participant("P08", "1999-07-19", "UNKNOWN", "en-US", "night_shift", "02", "en-us", 165),
    Participant("P09", "1988-02-29", "MALE", "en-US", "day_shift", "NA", "en-us-nyc", 155),
    Participant("P10", "1985-04-13", "INTERSEX", "en-GB", "night_shift", "NA", "en-029", 140),
    Participant("P11", "1993-10-05", "MALE", "es-ES", "day_shift", "NA", "es", 150),
    Participant("P12", "1980-05-01", "FEMALE", "es-ES", "night_shift", "NA", "es+f3", 145),
)
VISIT_DATES = ("2026-03-02", "2026-03-16", "2026-03-30")

COLUMNS = (
    "recording_id",
    "recording",
    "user_label",
    "date_of_birth",
    "birth_sex",
    "language",
    "recording_time",
    "sleep_time",
    "wake_time",
    "arm",
    "visit",
    "site",
    "note",
)

# What somebody typed wrong, by recording_id.
MISTAKES = {
    "P04-v3": {"birth_sex": "woman"},
    "P10-v2": {"date_of_birth": "13/04/1985"},
    "P06-v2": {"note": "file still on the recorder"},
}
NEVER_COPIED = "P06-v2"
# The same study as a German Excel would save it: own names, codes and words, day-first dates.
GERMAN_COLUMNS = {
    "recording": "Aufnahmedatei",
    "user_label": "VP-Code",
    "date_of_birth": "Geburtsdatum",
    "birth_sex": "Geschlecht",
    "recording_time": "Aufnahmezeit",
    "sleep_time": "Einschlafzeit",
    "wake_time": "Aufwachzeit",
    "arm": "Gruppe",
    "visit": "Termin",
    "site": "Prüfstelle",
}
GERMAN_WORDS = {
    "MALE": "m",
    "FEMALE": "w",
    "woman": "w",
    "INTERSEX": "d",
    "13/04/1985": "13.04.1985",
    "day_shift": "Tagdienst",
    "night_shift": "Nachtdienst",
    "1": "Beginn",
    "2": "Mitte",
    "3": "Ende",
}
NO_SLEEP_DIARY = frozenset({"P03-v2", "P09-v3", "P12-v1"})


@dataclass(frozen=True)
class Take:
    """A recording that went wrong and was repeated: Helios has to refuse it."""

    participant: int
    visit: int
    stem: str
    note: str
    encoding: Encoding | None


TAKES = (
    Take(1, 1, "muted", "microphone muted, repeated", FLAC),
    Take(2, 3, "ventilator", "only the ventilator to be heard, repeated", OPUS),
    Take(4, 1, "broken_off", "telephone rang after 4 s, repeated", MP3),
    Take(7, 2, "left_running", "recorder left running, repeated", WEBM),
    Take(8, 1, "all_afternoon", "forgot to stop, repeated", MP3_SMALLEST),
    Take(10, 2, "export_log", "the recorder's log, not the recording", None),
)
EXPORT_LOG = "recorder 4\n2026-03-16 08:03 export of 1 recording failed: card removed\n"


def main() -> int:
    """Make everything anew, then check it; 0 when all is as it should be."""
    if shutil.which("espeak-ng") is None:
        print("espeak-ng is missing: install it, on Debian with `apt-get install espeak-ng`.")
        return 2
    shutil.rmtree(COHORT, ignore_errors=True)
    RECORDINGS.mkdir(parents=True)
    rows = sorted([*planned_rows(), *refused_rows()], key=lambda row: row["recording_time"])
    with (COHORT / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    write_german_table(rows, COHORT / "german_table.csv")
    problems = [*problems_of_readings(), *problems_of_size()]
    print("\n".join(problems) or f"{len(rows)} rows and {total_size() / 1e6:.1f} MB in {COHORT}")
    return 1 if problems else 0


# --- rows ---------------------------------------------------------------------------------------


def planned_rows() -> Iterator[dict[str, str]]:
    """Record every participant at every visit; yield the rows of the manifest."""
    turns = itertools.product(range(len(PARTICIPANTS)), range(1, len(VISIT_DATES) + 1))
    for turn, (number, visit) in enumerate(turns):
        encoding, words = TURNS[turn % len(TURNS)]
        stem = f"{PARTICIPANTS[number].user_label}_visit{visit}"
        row = row_of(number, visit, f"{stem}{encoding.suffix}")
        if row["recording_id"] != NEVER_COPIED:
            speech = reading(PARTICIPANTS[number], start=9 * visit, words=words)
            encode(in_a_room(speech, seed=turn), RECORDINGS / f"{stem}{encoding.suffix}", encoding)
        yield row | MISTAKES.get(row["recording_id"], {})


def refused_rows() -> Iterator[dict[str, str]]:
    """Make every take that went wrong; yield the rows of the manifest."""
    for turn, take in enumerate(TAKES):
        label = PARTICIPANTS[take.participant].user_label
        suffix = take.encoding.suffix if take.encoding else ".wav"
        path = RECORDINGS / f"{label}_visit{take.visit}_{take.stem}{suffix}"
        if take.encoding is None:
            path.write_text(EXPORT_LOG, encoding="utf-8")
        else:
            encode(sound_of(take, seed=1000 + turn), path, take.encoding)
        row = row_of(take.participant, take.visit, path.name, minutes_earlier=6)
        yield row | {"recording_id": f"{row['recording_id']}-{take.stem}", "note": take.note}


def row_of(number: int, visit: int, name: str, minutes_earlier: int = 0) -> dict[str, str]:
    """Describe one recording; day workers sleep at night, night workers in the morning."""
    person = PARTICIPANTS[number]
    recording_id = f"{person.user_label}-v{visit}"
    midnight = datetime.fromisoformat(VISIT_DATES[visit - 1])
    by_night = person.arm == "night_shift"
    slept = midnight + timedelta(hours=8.5 if by_night else -1.5, minutes=(7 * number) % 50)
    woke = slept + timedelta(hours=5.75 if by_night else 7.25, minutes=(11 * number * visit) % 45)
    recorded = woke + timedelta(hours=2, minutes=(13 * number + 5 * visit) % 60 - minutes_earlier)
    diary = recording_id not in NO_SLEEP_DIARY
    return {
        "recording_id": recording_id,
        "recording": f"recordings/{name}",
        "user_label": person.user_label,
        "date_of_birth": person.date_of_birth,
        "birth_sex": person.birth_sex,
        "language": person.language,
        "recording_time": recorded.isoformat(timespec="minutes"),
        "sleep_time": slept.isoformat(timespec="minutes") if diary else "",
        "wake_time": woke.isoformat(timespec="minutes") if diary else "",
        "arm": person.arm,
        "visit": str(visit),
        "site": person.site,
        "note": "",
    }


def write_german_table(rows: list[dict[str, str]], path: Path) -> None:
    """Write the rows in British English as a German Excel would, without their language."""
    with path.open("w", encoding="cp1252", newline="") as file:
        writer = csv.writer(file, delimiter=";", lineterminator="\n")
        writer.writerow(GERMAN_COLUMNS.values())
        for row in rows:
            if row["language"] == "en-GB" and row["recording_id"] != NEVER_COPIED:
                writer.writerow([in_german(row[name]) for name in GERMAN_COLUMNS])


def in_german(cell: str) -> str:
    """Write dates with the day first, and codes and words for the others."""
    day_first = re.sub(r"^(\d{4})-(\d\d)-(\d\d)T?", r"\3.\2.\1 ", cell)
    return GERMAN_WORDS.get(cell, day_first.strip())


# --- sound --------------------------------------------------------------------------------------


def reading(person: Participant, start: int, words: int) -> Samples:
    """Let a participant read about so many words, from one clause of their book to another."""
    text = (HERE / "passages" / f"{person.language}.txt").read_text(encoding="utf-8")
    clauses = re.split(r"(?<=[,.;:!?])\s+", text.strip())
    coming = itertools.islice(itertools.cycle(clauses), start, None)
    chosen: list[str] = []
    while len(chosen) < words:
        chosen += next(coming).split()
    return spoken(" ".join(chosen), person)


def spoken(text: str, person: Participant) -> Samples:
    """Synthesize a text; full scale is 1."""
    speed = str(person.words_per_minute)
    command = ["espeak-ng", "-v", person.voice, "-s", speed, "--stdout", text]
    wav = subprocess.run(command, check=True, capture_output=True).stdout
    with wave.open(io.BytesIO(wav)) as file:
        rate_hz = file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2") / 32_768
    return resample_poly(samples, SAMPLE_RATE_HZ, rate_hz)


def in_a_room(speech: Samples, seed: int) -> Samples:
    """Set speech to an everyday level, with faint noise around and before it."""
    level = np.sqrt(np.mean(speech**2))
    lead = np.zeros(int(LEAD_S * SAMPLE_RATE_HZ))
    levelled = np.concatenate([lead, speech * amplitude(SPEECH_LEVEL_DBFS) / level, lead])
    return levelled + noise(levelled.size, ROOM_NOISE_DBFS, seed)


def noise(size: int, level_dbfs: float, seed: int) -> Samples:
    """Low, soft noise, as of a room or a ventilator."""
    white = np.random.default_rng([SEED, seed]).standard_normal(size + 32)
    soft = np.convolve(white, np.hanning(33), mode="valid")
    return soft * amplitude(level_dbfs) / np.sqrt(np.mean(soft**2))


def amplitude(level_dbfs: float) -> float:
    """Turn an RMS level into an amplitude; full scale is 1."""
    return float(10 ** (level_dbfs / 20))


def sound_of(take: Take, seed: int) -> Samples:
    """Make what is to be heard in a take that went wrong."""
    person = PARTICIPANTS[take.participant]
    if take.stem == "muted":
        return np.zeros(20 * SAMPLE_RATE_HZ)
    if take.stem == "ventilator":
        return noise(20 * SAMPLE_RATE_HZ, -38.0, seed)
    if take.stem == "broken_off":
        four_seconds = reading(person, start=0, words=40)[: 4 * SAMPLE_RATE_HZ]
        rest = np.zeros(10 * SAMPLE_RATE_HZ)
        return in_a_room(np.concatenate([four_seconds, rest]), seed)
    minutes = 3.2 if take.stem == "left_running" else 3.5
    speech = reading(person, start=0, words=int(minutes * 220))
    return in_a_room(speech[: int(minutes * 60 * SAMPLE_RATE_HZ)], seed)


def encode(samples: Samples, path: Path, encoding: Encoding) -> None:
    """Write samples as one of the six formats, leaving out what would differ between runs."""
    options = {"fflags": "+bitexact"}
    with av.open(str(path), "w", format=encoding.container, container_options=options) as file:
        stream = file.add_stream(encoding.codec, rate=SAMPLE_RATE_HZ, layout=encoding.layout)
        stream.codec_context.options = {"strict": "experimental", "flags": "+bitexact"}
        if encoding.bit_rate:
            stream.bit_rate = encoding.bit_rate
        for frame in frames(samples, encoding.layout):
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def frames(samples: Samples, layout: str) -> Iterator[av.AudioFrame]:
    """Cut samples into short frames: from one long one, Vorbis gets time stamps below zero."""
    pcm = np.round(np.clip(samples, -1, 1) * 32_767).astype(np.int16)
    planes = np.repeat(pcm[np.newaxis, :], 2 if layout == "stereo" else 1, axis=0)
    for start in range(0, pcm.size, FRAME_SAMPLES):
        part = np.ascontiguousarray(planes[:, start : start + FRAME_SAMPLES])
        frame = av.AudioFrame.from_ndarray(part, format="s16p", layout=layout)
        frame.sample_rate = SAMPLE_RATE_HZ
        frame.pts = start
        yield frame


# --- checks -------------------------------------------------------------------------------------


def problems_of_readings() -> Iterator[str]:
    """Find planned readings that Helios would not take, or that are longer than they should be."""
    shortest_s, longest_s = READING_S
    for path in sorted(RECORDINGS.glob("*_visit?.*")):
        facts = examine(str(path), full_speech=True)
        if facts.problem or facts.duration_s is None or facts.speech_s is None:
            yield f"{path.name}: {facts.problem}"
        elif not shortest_s <= facts.duration_s <= longest_s:
            yield f"{path.name}: lasts {facts.duration_s:.1f} s"
        elif facts.speech_s < LEAST_SPEECH_S:
            yield f"{path.name}: only {facts.speech_s:.1f} s of speech"


def problems_of_size() -> Iterator[str]:
    """Say when the cohort is larger than a repository should carry."""
    if total_size() > LARGEST_SIZE_BYTES:
        yield f"{total_size() / 1e6:.1f} MB are more than {LARGEST_SIZE_BYTES / 1e6:.0f} MB"


def total_size() -> int:
    """Add up all files of the cohort, in bytes."""
    return sum(path.stat().st_size for path in COHORT.rglob("*") if path.is_file())


if __name__ == "__main__":
    sys.exit(main())
