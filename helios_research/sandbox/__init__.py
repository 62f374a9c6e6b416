"""A local stand-in for Helios: real HTTP, real audio checks, synthetic scores."""

from helios_research.sandbox.app import TRANSCRIPT_MARK, expected_scores
from helios_research.sandbox.core import SandboxSettings
from helios_research.sandbox.server import Sandbox, serve_forever

__all__ = ["TRANSCRIPT_MARK", "Sandbox", "SandboxSettings", "expected_scores", "serve_forever"]
