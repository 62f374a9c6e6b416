"""One recording's bytes: where they are, what they really are, and what can be heard in them."""

from helios_research.recording.decoding import Container, sniff
from helios_research.recording.examination import (
    MEASURING_VERSION,
    AudioFacts,
    examine,
    fingerprint,
)
from helios_research.recording.source import (
    Fingerprint,
    Stamp,
    is_remote,
    read_blocks,
    stamp_of,
    without_secrets,
)

__all__ = [
    "MEASURING_VERSION",
    "AudioFacts",
    "Container",
    "Fingerprint",
    "Stamp",
    "examine",
    "fingerprint",
    "is_remote",
    "read_blocks",
    "sniff",
    "stamp_of",
    "without_secrets",
]
