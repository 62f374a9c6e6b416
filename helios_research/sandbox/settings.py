"""How the sandbox behaves: settings with defaults for a first try."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

HOUR_S = 3600.0


def _new_key() -> str:
    return f"sandbox-{secrets.token_hex(16)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """How the sandbox behaves.

    Attributes
    ----------
    api_key
        The only key that is accepted; by default a new random one.
    port, upload_port
        Ports of the API and of the upload host on 127.0.0.1; 0 takes a free one.
    rate_per_s
        API requests per second that are accepted; None sets no limit. Uploads do not count.
    burst
        API requests that may come at once on top of the rate.
    retry_after
        How a 429 says when to try again: in seconds, as an HTTP date, or not at all.
    latency_s
        Least seconds for every answer, of the API and of the upload host.
    pickup_s
        Seconds from a finished upload until the run is RUNNING.
    processing_s
        Seconds that a run is RUNNING, in the median.
    processing_spread
        Standard deviation of the logarithm of that time over runs; 0 makes all runs take equally
        long. The time of a recording depends on its bytes and the seed alone.
    processing_per_audio_s
        More seconds of processing for each second of audio.
    url_lifetime_s
        Seconds for which an upload URL is valid; one hour at Helios.
    retention_s
        Seconds from completion until a run with deleteData is deleted; 12 hours at Helios.
    sections
        Sections that a result has; one at Helios today.
    max_upload_bytes
        Largest upload that is accepted, so that a mistake cannot fill the disk.
    workers
        Threads that examine audio.
    seed
        Seed of the processing times.
    log_file
        File to which every event is appended as a line of JSON; None writes none.
    """

    api_key: str = field(default_factory=_new_key, repr=False)
    port: int = 0
    upload_port: int = 0
    rate_per_s: float | None = None
    burst: int = 5
    retry_after: Literal["seconds", "date", "absent"] = "seconds"
    latency_s: float = 0.0
    pickup_s: float = 0.2
    processing_s: float = 2.0
    processing_spread: float = 0.3
    processing_per_audio_s: float = 0.0
    url_lifetime_s: float = HOUR_S
    retention_s: float = 12 * HOUR_S
    sections: int = 1
    max_upload_bytes: int = 512 * 1024**2
    workers: int = 1
    seed: int = 0
    log_file: Path | None = None
