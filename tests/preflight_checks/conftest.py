"""A folder of real recordings, and what the checks need to know of a cohort."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from helios_research.cohort import Cohort
from helios_research.recording import AudioFacts, Stamp

DEMO = Path(__file__).parents[2] / "datasets" / "demo_cohort"

GOOD = AudioFacts(
    sha256="a" * 64,
    size_bytes=1_000,
    stamp=Stamp(1_000, "1"),
    media_type="audio/wav",
    audio_format="wav/pcm",
    duration_s=60.0,
    sample_rate_hz=44_100,
    channels=1,
    level_dbfs=-25.0,
    clipped_fraction=0.0,
    noise_floor_dbfs=-60.0,
    speech_s=12.1,
    speech_counted_to_end=False,
)


@pytest.fixture
def good_facts() -> AudioFacts:
    return GOOD


@pytest.fixture(scope="session")
def demo_manifest() -> Path:
    return DEMO / "manifest.csv"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with three good recordings and one that is none."""
    for name in ("P04_visit3.wav", "007_visit1.flac", "P08_visit1.webm"):
        shutil.copy(DEMO / "recordings" / name, tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a recording")
    return tmp_path


@pytest.fixture
def cohort_of():
    """Make a cohort of given recordings, one participant each."""

    def make(recordings: list[str], **columns: list[str]) -> Cohort:
        count = len(recordings)
        frame = pd.DataFrame(
            {
                "recording": recordings,
                "user_label": [f"P{number:02}" for number in range(count)],
                "date_of_birth": ["1990-01-01"] * count,
                "birth_sex": ["FEMALE"] * count,
                "language": ["en-GB"] * count,
                "recording_time": ["2026-03-02T09:00"] * count,
            }
            | columns
        )
        tags = [name for name in columns if name in ("arm", "visit")]
        return Cohort.from_frame(frame, tags=tags, root="/")

    return make
