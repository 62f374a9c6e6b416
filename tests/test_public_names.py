"""What `import helios_research` offers and what it costs."""

import importlib
import inspect
import pkgutil
import subprocess
import sys
from importlib.metadata import version
from types import ModuleType

import pytest

import helios_research

PUBLIC = [
    "Client",
    "Cohort",
    "Sandbox",
    "Study",
    "SubmitOptions",
    "Thresholds",
    "__version__",
    "analysis",
    "columns",
    "demo_cohort",
    "errors",
    "explain",
    "export",
    "plots",
    "preflight",
    "pseudonymize",
    "read_cohort",
    "read_results",
    "widgets",
    "write_report",
]


def loaded_after(code: str) -> set[str]:
    """Run code in a fresh interpreter and tell which modules it has then."""
    script = f"{code}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_the_public_names_are_these() -> None:
    assert helios_research.__all__ == PUBLIC
    assert dir(helios_research) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_can_be_had_and_is_documented(name: str) -> None:
    found = getattr(helios_research, name)
    if name != "__version__":
        assert inspect.getdoc(found)
        assert isinstance(found, ModuleType) or callable(found)


def test_a_name_stays_the_same_object() -> None:
    assert helios_research.Client is helios_research.Client


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Cohrt'"):
        helios_research.Cohrt  # noqa: B018 - asking for it is the test


def test_the_version_is_that_of_the_installed_package() -> None:
    assert helios_research.__version__ == version("helios-research")


def test_importing_the_package_loads_next_to_nothing() -> None:
    before = loaded_after("")
    added = loaded_after("import helios_research") - before
    ours = {name for name in added if name.startswith("helios_research")}
    assert ours == {"helios_research", "helios_research._version"}
    assert {name.partition(".")[0] for name in added - ours} <= sys.stdlib_module_names


@pytest.mark.parametrize(
    ("code", "spared"),
    [
        ("helios_research.Client", {"pandas", "matplotlib", "av", "ipywidgets", "scipy"}),
        ("helios_research.read_cohort", {"httpx", "matplotlib", "av", "ipywidgets", "scipy"}),
        ("helios_research.plots", {"httpx", "av", "ipywidgets", "sqlite3"}),
        ("helios_research.analysis", {"httpx", "matplotlib", "av", "ipywidgets", "sqlite3"}),
        ("helios_research.widgets", {"httpx", "av", "matplotlib", "ipywidgets", "sqlite3"}),
        ("helios_research.pseudonymize", {"httpx", "av", "matplotlib", "ipywidgets", "scipy"}),
        ("helios_research.errors", {"httpx", "pandas", "numpy", "av", "sqlite3"}),
        ("helios_research.columns", {"httpx", "pandas", "numpy", "av", "sqlite3"}),
        ("helios_research.explain", {"httpx", "pandas", "numpy", "av", "sqlite3"}),
        ("helios_research.read_results", {"httpx", "matplotlib", "av", "ipywidgets", "sqlite3"}),
        ("helios_research.export", {"httpx", "matplotlib", "av", "ipywidgets", "sqlite3"}),
        ("helios_research.demo_cohort", {"httpx", "pandas", "matplotlib", "av", "sqlite3"}),
        ("helios_research.write_report", {"httpx", "av", "ipywidgets", "sqlite3"}),
        ("helios_research.preflight", {"httpx", "matplotlib", "ipywidgets", "scipy"}),
    ],
)
def test_a_name_loads_only_what_it_needs(code: str, spared: set[str]) -> None:
    assert not loaded_after(f"import helios_research\n{code}") & spared


def test_answers_can_be_read_without_loading_the_http_library() -> None:
    modules = loaded_after("import helios_research.api.models, helios_research.api.protocol")
    assert "httpx" not in modules


@pytest.mark.parametrize(
    "module",
    [
        "api",
        "preflight_checks",
        "state",
        "withdrawal",
        "cohort",
        "config",
        "errors",
        "ledger",
        "recording",
        "sandbox",
    ],
)
def test_a_part_can_be_imported_first(module: str) -> None:
    """No part counts on another having been imported before it."""
    assert f"helios_research.{module}" in loaded_after(f"import helios_research.{module}")


def test_each_lazy_name_is_where_the_package_says_it_is() -> None:
    for name, home in vars(helios_research)["_HOMES"].items():
        found = getattr(importlib.import_module(f"helios_research.{home}"), name)
        assert found.__name__ == name


def test_no_public_name_hides_a_module_of_the_package() -> None:
    """Importing a module sets its name on the package, in place of what stood there."""
    modules = {module.name for module in pkgutil.iter_modules(helios_research.__path__)}
    assert not modules & set(vars(helios_research)["_HOMES"])


def test_the_demo_cohort_can_be_read_without_its_path() -> None:
    cohort = helios_research.demo_cohort()
    assert list(cohort.tags) == ["arm", "visit"]
    # Three rows show what an issue looks like.
    assert (len(cohort.fields), len(cohort.issues)) == (42, 3)
