"""What every test shares: a clean environment."""

import os

import pytest


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep a developer's own key, region and base URL out of the tests."""
    for name in [name for name in os.environ if name.startswith("THYMIA_")]:
        monkeypatch.delenv(name)
