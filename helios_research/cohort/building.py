"""From a table as it came to a checked cohort."""

from dataclasses import replace

import pandas as pd

from helios_research.cohort import duplicates, judges, locations, rules, speakers
from helios_research.cohort.content import Content
from helios_research.cohort.findings import empty
from helios_research.cohort.layout import Layout, Wishes, lay_out
from helios_research.cohort.raw import RawTable
from helios_research.cohort.text import as_text
from helios_research.columns import RECORDING_ID, STANDARD_FIELDS


def build(raw: RawTable, wishes: Wishes, root: str) -> Content:
    """Check a table and take from it what a cohort holds."""
    layout = lay_out(raw.source, raw.frame.columns, wishes)
    findings = raw.findings
    draft = _draft(raw, layout, root)
    rules.check_header(list(raw.frame.columns), layout, findings)
    good = rules.check_values(draft, findings)
    identities = rules.check_files(draft, findings)
    content = _content(raw, layout, draft, good)
    rows = content.row_numbers
    speakers.check_speakers(content.fields, good, layout, rows, findings)
    shared, repeats = duplicates.check_shared_audio(content, identities, draft.given["recording"])
    duplicates.check_ids(draft.fields[RECORDING_ID.name], repeats, layout, rows, findings)
    findings.parts.extend(shared.parts)
    return replace(content, findings=findings.table())


def _draft(raw: RawTable, layout: Layout, root: str) -> rules.Draft:
    given = pd.DataFrame(
        {field: _given(raw.cells, layout, field) for field in STANDARD_FIELDS},
        index=raw.cells.index,
    )
    stripped = {field: _stripped(given[field]) for field in given}
    stripped["recording"] = _resolved(stripped["recording"], root)
    tags = {name: _stripped(as_text(raw.cells[name])) for name in layout.tags}
    tag_values = pd.DataFrame(tags, index=raw.cells.index)
    return rules.Draft(given, pd.DataFrame(stripped), tag_values, layout)


def _given(cells: pd.DataFrame, layout: Layout, field: str) -> "pd.Series[str]":
    as_dates = field == "date_of_birth" if field in ("date_of_birth", *rules.TIMES) else None
    if field in layout.columns:
        return as_text(cells[layout.columns[field]], as_dates=as_dates)
    constant = as_text(pd.Series([layout.constants.get(field)], dtype=object), as_dates=as_dates)
    return pd.Series(constant.iloc[0], index=cells.index, dtype="str")


def _stripped(values: "pd.Series[str]") -> "pd.Series[str]":
    stripped = values.str.strip()
    return stripped.where(stripped != "")


def _resolved(recordings: "pd.Series[str]", root: str) -> "pd.Series[str]":
    resolved = [
        locations.resolve(cell, root) if isinstance(cell, str) else None
        for cell in recordings.tolist()
    ]
    return pd.Series(resolved, index=recordings.index, dtype="str")


def _content(raw: RawTable, layout: Layout, draft: rules.Draft, good: pd.DataFrame) -> Content:
    fields, keys = draft.fields, draft.fields[RECORDING_ID.name]
    sexes = fields["birth_sex"].str.upper().map(judges.SEX_OF).astype("str")
    canonical = {
        # A space for the T is common and leaves no doubt.
        name: fields[name].str.replace(" ", "T").where(good[name], fields[name])
        for name in rules.TIMES
    }
    canonical["birth_sex"] = sexes.where(good["birth_sex"], fields["birth_sex"])
    canonical[RECORDING_ID.name] = duplicates.unique_ids(keys, _stripped(draft.given["recording"]))
    return Content(
        source=raw.source,
        layout=layout,
        frame=raw.frame,
        fields=fields.assign(**canonical),
        tag_values=draft.tag_values,
        row_numbers=pd.Series(raw.row_numbers, index=raw.frame.index, name="row"),
        header_row=raw.header_row,
        findings=empty(),
    )
