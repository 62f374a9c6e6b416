"""Whether any package that is installed here has a known vulnerability.

pip-audit looks each one up at PyPI. What it does not find there it skips, and still ends well; an
index that has no page for every version, as many mirrors have none, would so be passed unseen.
Whatever was skipped is therefore looked up once more, on the page that a package has for its newest
version, and what is then left is named as not checked.

Ends with 1 if anything is vulnerable, and with 0 otherwise, also where nothing could be checked: a
laptop without a network is no reason to refuse work, so that case is only said, in a line that
begins with ``NOT CHECKED``.

Run ``python .ci/known_vulnerabilities.py [--accept ID …]``.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import httpx

PROJECT_PAGES = "https://pypi.org/pypi"
LOOKUPS = 8
TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class Package:
    """An installed package, and what is known about this version of it.

    Attributes
    ----------
    name, version
        Which it is.
    vulnerabilities
        Its known vulnerabilities, as PyPI words them; None where that could not be found out.
    """

    name: str
    version: str
    vulnerabilities: Sequence[dict[str, Any]] | None


def audited() -> list[Package]:
    """Let pip-audit look up everything that is installed."""
    command = [sys.executable, "-m", "pip_audit", "--skip-editable", "--progress-spinner=off"]
    audit = subprocess.run([*command, "--format=json"], capture_output=True, text=True, check=False)
    try:
        found = json.loads(audit.stdout)["dependencies"]
    except (ValueError, KeyError):
        # Without a network it says so at length and reports nothing.
        print(f"pip-audit: {(audit.stderr.strip().splitlines() or ['no report'])[-1]}")
        return []
    return [package_of(entry) for entry in found if not is_editable(entry)]


def is_editable(entry: dict[str, Any]) -> bool:
    """Tell whether pip-audit left a package out because its sources are worked on here."""
    return "editable" in entry.get("skip_reason", "")


def package_of(entry: dict[str, Any]) -> Package:
    """Read one entry of pip-audit's report."""
    if "skip_reason" in entry:
        # The version is named there alone: "… could not be audited: jinja2 (3.1.6)".
        return Package(entry["name"], entry["skip_reason"].rpartition("(")[2].rstrip(")"), None)
    known = [
        {"id": each["id"], "aliases": each["aliases"], "fixed_in": each["fix_versions"]}
        for each in entry["vulns"]
    ]
    return Package(entry["name"], entry["version"], known)


def looked_up(package: Package, pages: str = PROJECT_PAGES) -> Package:
    """Look a package that was skipped up once more, which helps if its version is the newest."""
    if package.vulnerabilities is not None:
        return package
    try:
        page = httpx.get(f"{pages}/{package.name}/json", timeout=TIMEOUT_S, follow_redirects=True)
        found = page.raise_for_status().json()
        if found["info"]["version"] != package.version:
            return package
        known = [each for each in found["vulnerabilities"] if not each["withdrawn"]]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return package
    return replace(package, vulnerabilities=known)


def report(packages: Sequence[Package], accepted: Sequence[str] = ()) -> tuple[list[str], bool]:
    """Say what was found, and whether anything is vulnerable.

    Parameters
    ----------
    packages
        What is installed.
    accepted
        Ids of vulnerabilities that are known not to matter here.

    Returns
    -------
    tuple[list[str], bool]
        Lines to print, and whether a vulnerability was found.
    """
    checked = [package for package in packages if package.vulnerabilities is not None]
    lines = [
        f"VULNERABLE: {package.name} {package.version}: {each['id']}; {_remedy(each['fixed_in'])}"
        for package in checked
        for each in package.vulnerabilities or ()
        if not {each["id"], *each["aliases"]} & {*accepted}
    ]
    is_vulnerable = bool(lines)
    if checked and not is_vulnerable:
        lines.append(f"No known vulnerability in {len(checked)} packages.")
    left = [f"{package.name} {package.version}" for package in packages if package not in checked]
    if not checked:
        lines.append("NOT CHECKED: PyPI's list of vulnerabilities cannot be reached from here.")
    elif left:
        lines.append(f"NOT CHECKED, since PyPI has no page for these versions: {', '.join(left)}.")
    return lines, is_vulnerable


def _remedy(fixed_in: Sequence[str]) -> str:
    return f"mended in {', '.join(fixed_in)}" if fixed_in else "not mended in any version yet"


def main() -> int:
    """Check what is installed, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accept", nargs="*", default=[], metavar="ID")
    parser.add_argument("--pages", default=PROJECT_PAGES, help="where packages have their pages")
    arguments = parser.parse_args()
    with ThreadPoolExecutor(LOOKUPS) as pool:
        packages = list(pool.map(partial(looked_up, pages=arguments.pages), audited()))
    lines, is_vulnerable = report(packages, arguments.accept)
    print(*lines, sep="\n")
    return int(is_vulnerable)


if __name__ == "__main__":
    sys.exit(main())
