"""What several benchmarks use."""

from pathlib import Path

# The sandbox that counts what arrives belongs to the tests.
__path__.append(str(Path(__file__).parents[2] / "tests" / "support"))
