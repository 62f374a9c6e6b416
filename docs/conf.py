"""How `make docs` builds the site: pages in Markdown, notebooks as tested, the reference from the code."""

import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from helios_research import __version__, codes, columns
from helios_research.columns import Column
from helios_research.preflight_checks.rules import DEFAULT_THRESHOLDS
from helios_research.submission import MOST_UPLOADS

HERE = Path(__file__).parent
GENERATED = HERE / "generated"

project = "helios_research"
author = "the helios_research maintainers"
release = version = __version__
extensions = ["myst_nb", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.autosummary"]
# What a docstring names is a link where the reference has it.
default_role = "py:obj"
highlight_language = "none"
numpydoc_show_class_members = False
autodoc_typehints = "none"
autosummary_generate = False
myst_heading_anchors = 3
myst_enable_extensions = ["attrs_block", "deflist", "substitution"]
# Numbers that pages name, from where they are set.
myst_substitutions = {
    **{name: f"{value:g}" for name, value in asdict(DEFAULT_THRESHOLDS).items()},
    "clipped_percent": f"{100 * DEFAULT_THRESHOLDS.clipped_fraction:g}",
    "most_uploads": str(MOST_UPLOADS),
    "version": __version__,
}
suppress_warnings = [
    "myst.header",  # the first heading of some notebooks is of the second level
    "myst-nb.lexer",  # pages whose code is not run do not know their language
]

# Pages run their code when they are built; notebooks have the outputs that the tests compare.
nb_execution_mode = "cache"
nb_execution_excludepatterns = ["generated/notebooks/*"]
nb_execution_raise_on_error = True
nb_execution_timeout = 120
# A widget needs a kernel and scripts from elsewhere: its still form is shown.
nb_ipywidgets_js: dict[str, Any] = {}
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]

html_theme = "pydata_sphinx_theme"
html_title = f"{project} {release}"
html_show_sourcelink = False
# A page beside no other has no navigation of a section.
_ALONE = "start explorer report notebooks limits questions glossary cite changes contributing"
html_sidebars: dict[str, list[str]] = {page: [] for page in _ALONE.split()}
html_search_scorer = str(HERE / "site" / "scorer.js")
html_static_path = ["site"]
html_css_files = ["site.css"]
html_theme_options = {
    "navigation_with_keys": False,
    "header_links_before_dropdown": 7,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}


def setup(app: Any) -> None:
    """Generate pages before Sphinx looks for them."""
    app.connect("config-inited", lambda *_: generate())


def generate() -> None:
    """Copy the notebooks, and write the pages that follow from the code."""
    shutil.rmtree(GENERATED, ignore_errors=True)
    shutil.copytree(HERE.parent / "notebooks", GENERATED / "notebooks")
    pages = {"codes": _codes(), "columns": _columns(), "commands": _commands()}
    for name, page in pages.items():
        (GENERATED / f"{name}.md").write_text(page, encoding="utf-8")


def _codes() -> str:
    outcomes = (
        _entry(name, f"{text[0].upper()}{text[1:]}.")
        for name, text in columns.OUTCOME_LABELS.items()
    )
    known = (
        _entry(code, f"{found.meaning} {found.remedy}")
        for code, found in ((code, codes.explain(code)) for code in codes.KNOWN)
    )
    return (
        "# Outcomes and error codes\n\nEvery row of the results has an outcome, and one that needs you has "
        "an error code with a reason in words. `hr.explain(code)` says the same as this "
        f"page.\n\n## Outcomes\n\n{''.join(outcomes)}\n## Error codes\n\n{''.join(known)}"
    )


def _entry(name: object, text: str) -> str:
    return f"({str(name).lower()})=\n### {name}\n\n{text}\n\n"


def _columns() -> str:
    tables = {
        "The table of recordings": columns.MANIFEST,
        "Results": columns.RESULTS,
        "Issues": columns.ISSUES,
        "Causes of issues": columns.CAUSES,
        "Checks before sending": columns.CHECKS,
        "Borderline recordings": columns.BORDERLINE,
        "Participants to mail": columns.INVITATIONS,
        "Runs of a participant who has withdrawn": columns.WITHDRAWN_RUNS,
    }
    parts = (f"## {title}\n\n{_table(found)}\n" for title, found in tables.items())
    return "# Columns of every table\n\n" + "\n".join(parts)


def _table(found: Iterable[Column]) -> str:
    rows = (
        f"| `{one.name}` | {one.kind.value} | {_words(one)} | {one.unit or ''} |\n" for one in found
    )
    return f"| column | kind | meaning | unit |\n| --- | --- | --- | --- |\n{''.join(rows)}"


def _words(column: Column) -> str:
    values = "; ".join(f"`{value}`: {label}" for value, label in column.labels.items())
    return f"{column.meaning} {values}".strip()


def _commands() -> str:
    write = ("-m", "typer", "helios_research.cli", "utils", "docs", "--name", "helios-research")
    command = [sys.executable, *write, "--title", "Command line"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
