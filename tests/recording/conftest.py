"""Real speech from the demo cohort, and a way to write it in any format."""

from collections.abc import Callable

import pytest

from support.sound import WAYS, Sound, demo_speech, encode, wav


@pytest.fixture(scope="session")
def speech() -> Sound:
    """17 seconds of speech from the demo cohort, mono at 16 kHz."""
    return demo_speech()


@pytest.fixture(scope="session")
def files(speech: Sound) -> dict[str, bytes]:
    """Write the same speech in each format that Helios takes, by ``audio_format``."""
    return {
        name: encode(speech, container, codec, rate)
        for name, (container, codec, rate) in WAYS.items()
    }


@pytest.fixture(scope="session")
def encoder() -> Callable[..., bytes]:
    return encode


@pytest.fixture(scope="session")
def wav_writer() -> Callable[..., bytes]:
    return wav


@pytest.fixture(scope="session")
def sound_type() -> type[Sound]:
    return Sound
