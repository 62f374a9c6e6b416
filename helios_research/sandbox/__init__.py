"""A local stand-in for Helios: real HTTP, real audio checks, synthetic scores."""

from helios_research.sandbox.runs import TRANSCRIPT_MARK, SandboxSettings, expected_scores
from helios_research.sandbox.server import Sandbox, serve_forever

__all__ = ["TRANSCRIPT_MARK", "Sandbox", "SandboxSettings", "expected_scores", "serve_forever"]
