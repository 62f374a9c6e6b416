"""The whole examination of one recording."""

import hashlib
import io
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helios_research.errors import RecordingUnavailableError
from helios_research.recording import examine, fingerprint, stamp_of

FORMATS = ["wav/pcm", "flac", "mp3", "mp4/aac", "ogg/opus", "ogg/vorbis", "webm/opus"]


@pytest.mark.parametrize("audio_format", FORMATS)
def test_each_format_gives_the_same_facts_about_the_same_speech(files, audio_format):
    data = files[audio_format]
    facts = examine(io.BytesIO(data))
    assert facts.sha256 == hashlib.sha256(data).hexdigest()
    assert facts.size_bytes == len(data)
    assert facts.audio_format == audio_format
    assert facts.duration_s == pytest.approx(17.4, abs=0.1)
    # FFmpeg lowers a mono signal by 3 dB when it writes it as stereo, as for this Vorbis file.
    assert facts.level_dbfs == pytest.approx(-27 if audio_format == "ogg/vorbis" else -24, abs=1)
    assert facts.speech_s == pytest.approx(12, abs=0.3)
    assert not facts.speech_counted_to_end
    assert facts.problem is None


def test_speech_can_be_counted_to_the_end(files):
    facts = examine(io.BytesIO(files["flac"]), full_speech=True)
    assert facts.speech_counted_to_end
    assert 14 < facts.speech_s < 17.4


def test_a_file_has_a_stamp_and_the_facts_of_its_bytes(files, tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(files["flac"])
    facts, read = examine(str(path)), fingerprint(str(path))
    assert facts.stamp == read.stamp == stamp_of(str(path))
    assert (facts.sha256, facts.size_bytes) == (read.sha256, read.size_bytes)
    assert facts.media_type == read.media_type == "audio/flac"
    assert (facts.audio_format, read.audio_format) == ("flac", "flac")


def test_zero_bytes_are_a_problem_in_words():
    facts = examine(io.BytesIO(b""))
    assert facts.problem == "it is empty (zero bytes)"
    assert facts.sha256 == hashlib.sha256(b"").hexdigest()
    assert facts.media_type is None


@pytest.mark.parametrize("audio_format", FORMATS)
def test_half_a_file_is_half_a_recording_or_a_problem_in_words(files, audio_format):
    data = files[audio_format]
    facts = examine(io.BytesIO(data[: len(data) // 2]))
    assert facts.size_bytes == len(data) // 2
    if audio_format == "mp4/aac":
        assert facts.problem == (
            "it cannot be decoded: it was not finished, not copied whole or is damaged "
            "(Invalid data found when processing input). Copy it again"
        )
    else:
        assert facts.problem is None
        # Of Vorbis, FFmpeg's versions write files of very different sizes.
        assert 5 < facts.duration_s < 11


@pytest.mark.parametrize("audio_format", FORMATS)
def test_the_first_hundred_bytes_alone_never_count_as_audio(files, audio_format):
    facts = examine(io.BytesIO(files[audio_format][:100]))
    assert facts.problem is not None or facts.duration_s < 0.01


def test_opposite_channels_are_flagged_and_their_level_is_kept(speech, wav_writer, sound_type):
    both = np.concatenate([speech.samples, -speech.samples])
    facts = examine(io.BytesIO(wav_writer(sound_type(both, speech.rate))))
    assert facts.cancels_out
    assert facts.speech_s == 0
    assert facts.level_dbfs == pytest.approx(-24, abs=1)


def test_samples_that_are_no_numbers_are_counted_and_the_rest_is_heard(
    speech, wav_writer, sound_type
):
    samples = speech.samples.copy()
    samples[0, 5_000:6_000] = np.nan
    facts = examine(io.BytesIO(wav_writer(sound_type(samples, speech.rate), dtype="<f4")))
    assert facts.invalid_samples == 1_000
    assert facts.speech_s == pytest.approx(12, abs=0.3)


def test_more_channels_than_can_be_resampled_are_a_problem_in_words(wav_writer, sound_type):
    facts = examine(io.BytesIO(wav_writer(sound_type(np.zeros((65, 16_000)), 16_000))))
    assert facts.problem is not None
    assert facts.problem.startswith("it cannot be decoded (")
    assert facts.speech_s is None


def test_a_drive_lost_half_way_is_unavailable_and_not_a_bad_format(files):
    class Lost(io.BytesIO):
        def read(self, size=-1, /):
            if self.tell() > 100_000:
                raise OSError(116, "Stale file handle")
            return super().read(min(size, 50_000))

    with pytest.raises(RecordingUnavailableError, match="could not be read to its end"):
        examine(Lost(files["wav/pcm"]))


@pytest.mark.parametrize("audio_format", FORMATS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_mutation_of_the_bytes_raises(files, audio_format, data):
    mutated = bytearray(files[audio_format][:20_000])
    for _ in range(data.draw(st.integers(1, 8))):
        # The header is where lies hurt most.
        end = data.draw(st.sampled_from([64, 512, len(mutated)]))
        at = data.draw(st.integers(0, end - 1))
        patch = data.draw(st.binary(min_size=1, max_size=8))
        mutated[at : at + len(patch)] = patch
    try:
        facts = examine(io.BytesIO(bytes(mutated)))
    # What begins like a web page or an archive now.
    except RecordingUnavailableError:
        return
    assert facts.sha256 == hashlib.sha256(mutated).hexdigest()
    assert (facts.problem is None) == (facts.duration_s is not None)


@settings(max_examples=60, deadline=None)
@given(
    magic=st.sampled_from(
        [b"RIFF....WAVEfmt ", b"fLaC", b"OggS", b"\x1aE\xdf\xa3", b"....ftypM4A "]
    ),
    rest=st.binary(max_size=400),
)
def test_a_magic_number_before_garbage_never_raises(magic, rest):
    facts = examine(io.BytesIO(magic + rest))
    assert facts.problem is None or facts.problem[0].islower()


LONG = """
import resource, sys
from helios_research.recording import examine
def peak_mb(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
examine(sys.argv[1])
before = peak_mb()
facts = examine(sys.argv[2])
print(facts.duration_s, facts.speech_s, peak_mb() - before)
"""


def memory_of(short, long):
    command = [sys.executable, "-c", LONG, str(short), str(long)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return map(float, answer.split())


def test_twelve_hours_take_no_more_memory_than_seconds(tmp_path, speech, wav_writer, sound_type):
    short, long = tmp_path / "short.wav", tmp_path / "long.wav"
    short.write_bytes(wav_writer(speech))
    header = wav_writer(sound_type(np.zeros((1, 0)), 4_000), size=0)
    with long.open("wb") as file:
        file.write(header)
        # Sparse: it takes no room on the disk.
        file.truncate(len(header) + 12 * 3600 * 4_000 * 2)
    duration_s, speech_s, more_mb = memory_of(short, long)
    assert duration_s == pytest.approx(12 * 3600)
    assert speech_s == 0
    assert more_mb < 30


def test_hours_of_mp3_are_counted_through_in_constant_memory(tmp_path, encoder, sound_type):
    short, long = tmp_path / "short.mp3", tmp_path / "long.mp3"
    silence = sound_type(np.zeros((1, 24_000 * 60)), 24_000)
    minute = encoder(silence, "mp3", "libmp3lame", write_xing="0")
    short.write_bytes(minute)
    with long.open("wb") as file:
        for _ in range(180):
            file.write(minute)
    duration_s, speech_s, more_mb = memory_of(short, long)
    assert duration_s == pytest.approx(3 * 3600, rel=0.01)
    assert speech_s == 0
    assert more_mb < 30


def test_an_archive_is_not_taken_for_the_music_that_its_bytes_resemble(files):
    archive = b"PK\x03\x04" + bytes(26) + files["mp3"]
    with pytest.raises(RecordingUnavailableError, match="is a ZIP archive: unpack it, and name"):
        examine(io.BytesIO(archive))
