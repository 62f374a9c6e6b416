"""A recording is played in the page where its file is on this machine, and a sentence says why not."""

import base64
import io
import re
import wave

import av
import pytest

from helios_research.widgets.explorer.recording import LARGEST_BYTES, LONGEST_S, player_html


def test_a_file_on_this_machine_can_be_played_and_starts_nothing_by_itself(tmp_path):
    (tmp_path / 'a "b".ogg').write_bytes(b"OggS")
    html = player_html('a "b".ogg', tmp_path)
    assert 'src="data:audio/ogg;base64,T2dnUw=="' in html
    assert 'aria-label="Recording a &quot;b&quot;.ogg"' in html
    assert "controls" in html
    assert "helios-wave" not in html, "this one cannot be decoded"
    assert "autoplay" not in html
    assert "loop" not in html


@pytest.mark.parametrize(
    ("location", "sentence"),
    [
        ("missing.wav", "The audio file missing.wav was not found in "),
        ("\0", "The audio file \0 was not found in "),
        ("s3://bucket/a.wav", "The recording is not on this machine"),
        (".", "The audio file . was not found in "),
    ],
)
def test_what_cannot_be_played_is_said(tmp_path, location, sentence):
    assert sentence in player_html(location, tmp_path)


def test_a_large_file_is_compressed_for_listening(tmp_path, speech):
    path = tmp_path / "long.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(speech * 16)  # 208 s, 6.7 MB
    html = player_html("long.wav", tmp_path)
    assert "Compressed for listening here, at most 3 minutes; the file itself is" in html
    loud = re.search('<svg class="helios-wave".*?d="(.*?)"', html)[1]
    heights = [float(bar) for bar in re.findall(r"V([\d.]+)", loud)]
    assert len(heights) == 240
    assert max(heights) == 10
    assert min(heights) < 3
    heard = base64.b64decode(re.search('base64,([^"]+)', html)[1])
    assert len(heard) < LARGEST_BYTES / 2
    with av.open(io.BytesIO(heard)) as container:
        assert container.streams.audio[0].codec_context.name == "opus"
        assert container.duration / 1e6 == pytest.approx(LONGEST_S, abs=1)


def test_a_large_file_that_is_not_audio_is_a_sentence(tmp_path):
    (tmp_path / "notes.wav").write_bytes(b"0" * (LARGEST_BYTES + 1))
    assert "The audio file cannot be played: Invalid data" in player_html("notes.wav", tmp_path)


def test_results_without_recordings_have_no_player(tmp_path):
    assert player_html(None, tmp_path) == player_html(float("nan"), tmp_path) == ""
