"""Tools for throwing rubbish at the package: a child process with little memory, and mutations."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import strategies as st

import helios_research as hr
from helios_research.sandbox import SandboxSettings

# What the imports alone map differs by machine, so a child may have this much on top of them.
PRELUDE = """
import resource, sys
from pathlib import Path
import helios_research as hr
from helios_research.errors import HeliosResearchError
{imports}

def address_space():
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()

most = address_space() + {megabytes} * 2**20
resource.setrlimit(resource.RLIMIT_AS, (most, most))
try:
    {code}
except HeliosResearchError as error:
    print(type(error).__name__, error, sep=": ")
else:
    print("read")
"""

# Long enough for any machine; it only ends what would never end.
FOR_EVER_S = 100

InLittleMemory = Callable[..., str]


@pytest.fixture
def in_little_memory() -> InLittleMemory:
    """Run a statement in a child that may have so many MB more; tells how it ended."""

    def run(code: str, *arguments: object, megabytes: int, imports: str = "") -> str:
        script = PRELUDE.format(code=code, megabytes=megabytes, imports=imports)
        child = subprocess.run(
            [sys.executable, "-c", script, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=FOR_EVER_S,
            check=False,
        )
        assert child.returncode == 0, child.stderr[-3000:]
        return child.stdout.strip()

    return run


@st.composite
def mutations(draw: st.DrawFn, original: bytes) -> bytes:
    """Bytes with a few of them flipped, taken out, put in, doubled, or cut off."""
    data = bytearray(original)
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.sampled_from([1, 1, 2, 4, 16, 200, 5_000]))
        match draw(st.sampled_from(["flip", "set", "cut", "insert", "remove", "copy"])):
            case "flip" if at < len(data):
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "set":
                value = draw(st.sampled_from([b"\x00", b"\xff", b"\x7f", b"\x80"]))
                data[at : at + length] = value * min(length, len(data) - at)
            case "cut":
                del data[at:]
            case "insert":
                data[at:at] = draw(st.binary(max_size=40))
            case "remove":
                del data[at : at + length]
            case "copy":
                start = draw(st.integers(0, len(data)))
                data[at:at] = data[start : start + length]
    return bytes(data)


@pytest.fixture(name="mutations", scope="session")
def mutating() -> Callable[[bytes], st.SearchStrategy[bytes]]:
    """Make strategies of spoiled bytes."""
    return mutations


@pytest.fixture
def is_a_sentence() -> Callable[[BaseException], None]:
    """Check that an error is worded for people: neither empty nor a page long, and with an end."""

    def judge(error: BaseException) -> None:
        words = str(error)
        assert 20 < len(words) < 4_000, words
        assert words.rstrip().endswith((".", "?", ")", "`")), words

    return judge


@pytest.fixture(scope="session")
def finished_study(
    tmp_path_factory: pytest.TempPathFactory, as_wav: Callable[..., bytes], speech: bytes
) -> Path:
    """A study of four rows: two scored, one whose audio is no audio, one that cannot be sent."""
    folder = tmp_path_factory.mktemp("finished")
    for name in ("a", "b"):
        (folder / f"{name}.wav").write_bytes(as_wav(speech, name))
    (folder / "c.wav").write_text("Notes about a recording.\n" * 9)
    table = pd.DataFrame(
        {
            "recording": ["a.wav", "b.wav", "c.wav", "gone.wav"],
            "user_label": ["P01", "P01", "P02", "P03"],
            "date_of_birth": "1990-05-17",
            "birth_sex": "FEMALE",
            "language": "en-GB",
            "arm": ["day", "night", "day", "night"],
        }
    )
    quick = {"processing_s": 0.05, "processing_spread": 0.0, "pickup_s": 0.02}
    with hr.Sandbox(SandboxSettings(**quick)) as sandbox:
        study = hr.Study(folder / "study", client=sandbox.client())
        cohort = hr.Cohort.from_frame(table, tags=["arm"], root=folder)
        results = study.submit(cohort, progress=False, preflight=False, poll_floor_s=0.1)
    assert results["outcome"].tolist() == ["scored", "scored", "failed", "invalid"]
    return study.folder
