"""What every test shares: a clean environment, and cohorts of real recordings made on the spot."""

import ipaddress
import os
import signal
import struct
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

from helios_research.api.models import RunRequest, digest_of
from helios_research.columns import Verdict
from helios_research.demo import demo_cohort_path
from helios_research.ledger import Attempt, State, volumes
from helios_research.preflight_checks.check import Check
from helios_research.recording import AudioFacts
from helios_research.recording import examine as examine_recording
from helios_research.state.rows import Rejection, Row

SAMPLE_RATE_HZ = 16_000
SPEECH_S = 13

CohortMaker = Callable[..., pd.DataFrame]

# The suite tries the same examples every time, so that a red test is never a matter of luck; new
# ones are looked for with `--hypothesis-profile=long --timeout=0`, which takes hours.
settings.register_profile("suite", derandomize=True, database=None)
settings.register_profile("long", max_examples=5_000, print_blob=True)
settings.load_profile("suite")

# What a script starts in the background ignores Ctrl-C, and so would all that the tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep a developer's own key, keyring, region and base URL out of the tests."""
    for name in [name for name in os.environ if name.startswith("THYMIA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")


@pytest.fixture
def local_volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the volume be known to be local, as it is not in a chroot; give what tells a child so."""
    table = tmp_path / "table of mounts"
    table.write_text("1 1 0:1 / / rw - ext4 /dev/vda rw")
    monkeypatch.setattr(volumes, "_MOUNTS", table)
    return f"from helios_research.ledger import volumes; volumes._MOUNTS = type(volumes._MOUNTS)({str(table)!r})"


@pytest.fixture(scope="session")
def speech() -> bytes:
    """13 s of the demo cohort's speech as 16-bit samples at 16 kHz, mono."""
    source = next((demo_cohort_path() / "recordings").glob("P01*"))
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
    with av.open(str(source)) as container:
        frames = [
            resampled.to_ndarray().ravel()
            for frame in container.decode(audio=0)
            for resampled in resampler.resample(frame)
        ]
    samples = np.concatenate(frames)
    return samples[: SPEECH_S * SAMPLE_RATE_HZ].astype("<i2").tobytes()


def wav_bytes(samples: bytes, remark: str = "") -> bytes:
    """Wrap samples as a WAV file; a remark makes its bytes its own, its sound the same."""
    text = remark.encode().ljust(len(remark) + len(remark) % 2, b"\0")
    chunks = b"".join(
        name + struct.pack("<I", len(body)) + body
        for name, body in (
            (b"fmt ", struct.pack("<HHIIHH", 1, 1, SAMPLE_RATE_HZ, 2 * SAMPLE_RATE_HZ, 2, 16)),
            (b"data", samples),
            (b"note", text),
        )
    )
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WAVE" + chunks


@pytest.fixture(scope="session")
def as_wav() -> Callable[..., bytes]:
    """Wrap samples as WAV files."""
    return wav_bytes


@pytest.fixture
def make_cohort(tmp_path: Path, speech: bytes) -> CohortMaker:
    """Write recordings with speech, and give the table that describes them."""

    def make(count: int, folder: str = "recordings", **columns: object) -> pd.DataFrame:
        home = tmp_path / folder
        home.mkdir(exist_ok=True)
        names = [f"r{number:04}.wav" for number in range(count)]
        for name in names:
            (home / name).write_bytes(wav_bytes(speech, name))
        table = pd.DataFrame(
            {
                "recording": [str(home / name) for name in names],
                "user_label": [f"P{number // 3:03}" for number in range(count)],
                "date_of_birth": "1990-05-17",
                "birth_sex": "FEMALE",
                "language": "en-GB",
                "arm": ["night" if number % 2 else "day" for number in range(count)],
            }
        )
        return table.assign(**columns)

    return make


@pytest.fixture
def examine_once() -> Callable[[str], AudioFacts]:
    """Examine recordings as the sandbox does, each set of samples once: told by their length."""
    known: dict[int, AudioFacts] = {}

    def examine(path: str) -> AudioFacts:
        size = Path(path).stat().st_size
        if size not in known:
            known[size] = examine_recording(path)
        return known[size]

    return examine


@pytest.fixture(scope="session")
def make_certificate(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make certificates for 127.0.0.1 and other hosts that nobody but their owner vouches for."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    def make(*hosts: str) -> Path:
        secret = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "helios")])
        names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), *map(x509.DNSName, hosts)]
        now = datetime.now(UTC)
        signed = (
            x509.CertificateBuilder(name, name, secret.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(secret, hashes.SHA256())
        )
        form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        path = tmp_path_factory.mktemp("tls") / "own.pem"
        path.write_bytes(
            secret.private_bytes(serialization.Encoding.PEM, form, plain)
            + signed.public_bytes(serialization.Encoding.PEM)
        )
        return path

    return make


# --- rows, checks and attempts, as the ledger and the cohort would give them --------------------------

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
AUDIO = "ab" * 32


@pytest.fixture
def request_of() -> Callable[..., RunRequest]:
    """Metadata of a recording, to be changed field by field."""

    def make(**changes: object) -> RunRequest:
        values = {"date_of_birth": "1990-05-17", "birth_sex": "FEMALE", "language": "en-GB"}
        return RunRequest.model_validate({"user_label": "P1"} | values | changes)

    return make


@pytest.fixture
def row_of(request_of) -> Callable[..., Row]:
    """A row that can be sent; with a rejection it cannot."""

    def make(
        request: RunRequest | None = None,
        *,
        rejection: Rejection | None = None,
        position: int = 0,
        location: str | None = "/recordings/a.wav",
    ) -> Row:
        if rejection is not None:
            return Row(position, f"r{position}", location, None, None, rejection)
        asked = request or request_of()
        return Row(
            position,
            f"r{position}",
            location,
            asked.canonical(),
            digest_of(asked.canonical()),
            None,
        )

    return make


@pytest.fixture
def attempt_of(request_of) -> Callable[..., Attempt]:
    """An attempt in a state, made with some metadata."""

    def make(
        state: State, request: RunRequest | None = None, *, number: int = 1, **changes: object
    ) -> Attempt:
        asked = request or request_of()
        made = Attempt(
            attempt_id=number,
            sha256=AUDIO,
            request_digest=digest_of(asked.canonical()),
            request_text=asked.canonical(),
            number=number,
            media_type="audio/wav",
            size_bytes=1000,
            duration_s=30.0,
            delete_data=False,
            source="sandbox",
            state=state,
            model_run_id=f"run-{number}",
            error_code=None,
            error_reason=None,
            begun_at=NOW - timedelta(minutes=2),
            created_at=NOW - timedelta(minutes=2),
            upload_began_at=None,
            uploaded_at=None,
            run_at=None,
            completed_at=None,
            upload_url=None,
        )
        return replace(made, **changes)

    return make


@pytest.fixture
def check_of() -> Callable[..., Check]:
    """What was seen of a recording."""

    def make(verdict: Verdict = Verdict.OK, code: str | None = None, **changes: object) -> Check:
        seen = Check(verdict, code, "As heard.", sha256=AUDIO, size_bytes=1000, duration_s=30.0)
        return replace(seen, **changes)

    return make
