"""The files around the package agree with it and with one another."""

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from helios_research import __version__

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "datasets/README.md")
CONDA_EXTRAS = ("keyring", "notebooks", "s3", "spreadsheets", "spss")
# conda has no extras: what a requirement's extra adds stands there as a package of its own.
ADDED_BY_EXTRA = {("fsspec", "http"): "aiohttp"}
ONLY_FOR_CONDA = {"python", "pip"}


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def environment() -> dict:
    return yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def bounds(requirements: list[str]) -> dict[str, str]:
    parsed = [Requirement(requirement) for requirement in requirements]
    return {requirement.name: str(requirement.specifier) for requirement in parsed}


def test_conda_and_pip_users_get_the_same_packages_within_the_same_bounds(project, environment):
    named = project["dependencies"] + [
        requirement
        for extra in CONDA_EXTRAS
        for requirement in project["optional-dependencies"][extra]
    ]
    wanted = bounds(named)
    for requirement in map(Requirement, named):
        for extra in requirement.extras:
            wanted[ADDED_BY_EXTRA[requirement.name, extra]] = ""
    from_pip = next(entry for entry in environment["dependencies"] if isinstance(entry, dict))[
        "pip"
    ]
    assert from_pip[-1] == "--editable ."
    from_conda = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    offered = bounds(from_conda + from_pip[:-1])
    assert {name: offered[name] for name in offered.keys() - ONLY_FOR_CONDA} == wanted


def test_conda_and_pip_users_need_the_same_python(project, environment):
    python = next(entry for entry in environment["dependencies"] if entry.startswith("python"))
    assert python == f"python{project['requires-python']}"


def test_every_make_command_that_a_document_names_exists(targets):
    named = {
        command
        for document in DOCUMENTS
        for command in re.findall(r"(?:`|^|&& )make ([a-z]+)", text_of(document), re.MULTILINE)
    }
    assert {"demo", "test", "check"} <= named
    assert named <= targets


def test_every_link_between_documents_leads_somewhere():
    pages = [*map(ROOT.joinpath, ("README.md", "SECURITY.md")), *(ROOT / "docs").glob("*.md")]
    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\((?!https?:|#|generated/)([^)#]+)", page.read_text("utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []
    for page in ("docs/data_protection.md", "SECURITY.md"):
        assert f"({page})" in text_of("README.md")


def test_what_the_page_on_data_protection_leans_on_is_there():
    page = text_of("docs/data_protection.md")
    named = re.findall(r"`(tests/[^`]+)`", page)
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_make_lists_its_commands_by_default(targets):
    listed = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert {"demo", "test", "check", "dataset"} <= set(re.findall(r"make ([a-z]+) ", listed))


def test_continuous_integration_runs_only_what_anybody_can_run(targets):
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    commands = re.findall(r"^make (?:--\S+ )*([a-z]+)", text_of(".ci/run"), re.MULTILINE)
    assert commands == ["test", "check"]
    assert set(commands) <= targets


@pytest.mark.parametrize(("tests", "checks"), [(0, 0), (2, 0), (0, 2), (2, 2)])
def test_continuous_integration_fails_when_either_command_does(tmp_path, tests, checks):
    """A stand-in for make, first on the path, ends as it is told."""
    make = tmp_path / "make"
    make.write_text(
        f'#!/bin/sh\ncase "$*" in *test) exit {tests};; *check) exit {checks};; *) exit 9;; esac\n'
    )
    make.chmod(0o755)
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    environment = os.environ | {"PATH": path}
    done = subprocess.run(
        [ROOT / ".ci" / "run"], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode == 0) == (tests == checks == 0)
    assert f"make test: exit status {tests}; make check: exit status {checks}" in done.stdout


def test_the_changelog_begins_with_this_version():
    versions = re.findall(r"^## \[?v?(\d[^\s\]]*)", text_of("CHANGELOG.md"), re.MULTILINE)
    assert versions[0] == __version__


def test_what_is_cited_is_this_version():
    cited = yaml.safe_load(text_of("CITATION.cff"))
    assert cited["version"] == __version__


def test_every_notebook_is_listed_in_the_readme():
    readme = text_of("README.md")
    unlisted = [path.name for path in notebooks() if f"notebooks/{path.name}" not in readme]
    assert unlisted == []


def test_no_notebook_holds_an_error_or_was_left_unrun():
    wrong = []
    for path in notebooks():
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = [cell for cell in cells if cell["cell_type"] == "code" and cell["source"]]
        wrong += [path.name for cell in code if cell["execution_count"] is None]
        wrong += [
            path.name
            for cell in code
            for output in cell["outputs"]
            if output["output_type"] == "error"
        ]
    assert wrong == []


def test_a_notebook_leaves_its_widgets_alive_and_says_in_tags_what_may_differ():
    for path in notebooks():
        if path.name.startswith("07"):
            continue
        cells = [cell for cell in json.loads(text_of(path))["cells"] if cell["cell_type"] == "code"]
        sources = "".join("".join(cell["source"]) for cell in cells)
        assert not re.findall("NBVAL|(?:monitor|explorer|mapper).close|set_option", sources), (
            path.name
        )


def notebooks() -> list[Path]:
    return sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_the_wheel_carries_the_demo_cohort_and_nothing_that_is_not_the_package(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory"]
    subprocess.run([*build, tmp_path], cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    cohort = ROOT / "datasets" / "demo_cohort"
    wanted = {
        f"helios_research/demo/cohort/{path.relative_to(cohort).as_posix()}"
        for path in cohort.rglob("*")
        if path.is_file()
    }
    assert len(wanted) > 40
    assert wanted | {"helios_research/py.typed"} <= names
    tops = {name.split("/")[0] for name in names}
    assert tops == {"helios_research", f"helios_research-{__version__}.dist-info"}
