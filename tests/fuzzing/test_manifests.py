"""Any file may be given as a table: it is read, or one sentence says why not; never more."""

import csv
import io
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import helios_research as hr
from helios_research.errors import CohortError
from helios_research.state.rows import rows_of

HEADER = ["recording", "user_label", "date_of_birth", "birth_sex", "language"]
ROW = ["a.wav", "P01", "1985-03-14", "FEMALE", "en-GB"]
SHEET = "xl/worksheets/sheet1.xml"
READ = "hr.read_cohort(sys.argv[1])"

unquick = settings(
    max_examples=settings().max_examples // 2,
    deadline=None,
    # Shrinking takes minutes; what fails can be read as it is.
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

# What people and programs leave in cells.
ODD = (
    *("", " ", "007", "NA", "NaN", "nan", "null", "1e5", "1e999", "-0", "TRUE", "0x1F", "١٢", "½"),
    *("=1+1", '=HYPERLINK("http://x")', "@SUM(A1)", "+1", "-1", "\t=1", "#REF!", "'007"),
    *(
        '"',
        '""',
        'a"b',
        "a,b",
        "a;b",
        "a\nb",
        "a\r\nb",
        "a\rb",
        "\\",
        "\\N",
        "\x00",
        "\x1a",
        "\x85",
    ),
    *("\ufeff", "\u200b", "\u202e", "\ufffd", "\ud800", "é", "ß", "音声", "🎙", "i\u0307", "\xa0"),
    *("1985-02-30", "0000-00-00", "9999-12-31", "1985-03-14T25:00", "2026-01-01T00:00:00Z"),
    *("../../etc/passwd", "file:///etc/passwd", "http://[", "s3://", "CON", "C:\\a.wav", "~", "."),
    *("x" * 300, "<script>", "%s%n", "{0}", "${x}", "en_GB", "en-gb", "\u017f", "\ufb01"),
)
cells = st.one_of(st.sampled_from(ODD), st.sampled_from(ROW), st.text(max_size=20))
names = st.one_of(st.sampled_from([*HEADER, *HEADER, "arm", "recording_id", "sleep_time"]), cells)
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252", "cp037")


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    """A table whose header may be whole, and whose rows may be as long as it."""
    header = [*HEADER, *draw(st.lists(names, max_size=4))]
    if draw(st.integers(0, 3)) == 0:
        header = draw(st.lists(names, max_size=8))
    rows = draw(st.lists(st.lists(cells, max_size=9), max_size=5))
    good = draw(st.lists(st.lists(cells, min_size=4, max_size=4), max_size=3))
    return [header, *rows, *([*ROW, *more] for more in good)]


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """A table as some program may have written it."""
    delimiter = draw(st.sampled_from([",", ";", "\t", "|"]))
    table = draw(tables())
    if draw(st.booleans()):
        file = io.StringIO(newline="")
        quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
        writer = csv.writer(file, delimiter=delimiter, quoting=quoting)
        writer.writerows(table)
        text = file.getvalue()
    else:
        text = draw(st.sampled_from(["\n", "\r\n", "\r"])).join(map(delimiter.join, table))
    text = draw(st.sampled_from(["", "", "\n", "sep=;\n", "\ufeff", "# a remark\n"])) + text
    return text.encode(draw(st.sampled_from(ENCODINGS)), errors="replace")


@pytest.fixture
def read_or_say_why(
    tmp_path: Path, is_a_sentence: Callable[[BaseException], None]
) -> Callable[..., None]:
    """Read a table, and go on to what would be sent of it."""

    def attempt(content: bytes, name: str) -> None:
        path = tmp_path / name
        path.write_bytes(content)
        try:
            cohort = hr.read_cohort(path, tags=["arm"] if b"arm" in content else ())
        except CohortError as error:
            return is_a_sentence(error)
        return is_whole(cohort, tmp_path)

    return attempt


def is_whole(cohort: hr.Cohort, folder: Path) -> None:
    """Everything that is done with a cohort before it is sent works, and no row goes missing."""
    rows = rows_of(cohort)
    assert len(rows) == len(cohort) == len(cohort.frame) == len(cohort.fields)
    assert cohort.fields["recording_id"].is_unique
    rejected = {position for position, valid in enumerate(cohort.is_valid) if not valid}
    for row in rows:
        assert (row.rejection is None) <= (row.digest is not None)
        assert row.position not in rejected or row.rejection is not None
    # The header of a file is row 1, that of a DataFrame row 0.
    assert set(cohort.issues.rows["row"]) <= {0, 1, *cohort.row_numbers}
    assert "<script>" not in cohort._repr_html_()
    cohort.save(folder / "cohort.parquet")
    pd.testing.assert_frame_equal(hr.Cohort.load(folder / "cohort.parquet").frame, cohort.frame)


@given(content=texts(), suffix=st.sampled_from([".csv", ".tsv", ".txt", ".tab"]))
@unquick
def test_any_text_is_a_table_or_a_sentence(read_or_say_why, content, suffix) -> None:
    read_or_say_why(content, f"m{suffix}")


@given(content=st.binary(max_size=400), suffix=st.sampled_from([".csv", ".xlsx", ".parquet"]))
@unquick
def test_any_bytes_are_a_table_or_a_sentence(read_or_say_why, content, suffix) -> None:
    read_or_say_why(content, f"m{suffix}")


values = st.one_of(
    cells,
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.dates(),
    st.datetimes(),
    st.binary(max_size=5),
    st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-999, max_value=999),
    st.lists(st.integers(0, 3), max_size=2),
    st.timedeltas(),
)


def as_column(values: list[Any]) -> "pd.Series[Any]":
    """Let pandas find the type, unless that is text with half a surrogate pair."""
    try:
        return pd.Series(values)
    except UnicodeEncodeError:
        return pd.Series(values, dtype=object)


@given(table=tables(), odd=st.lists(values, min_size=1, max_size=6), place=st.integers(0, 7))
@unquick
def test_any_data_frame_is_a_table_or_a_sentence(
    is_a_sentence, tmp_path, table, odd, place
) -> None:
    header, *rows = table
    cells: list[list[Any]] = [[*row, *[None] * len(header)][: len(header)] for row in rows]
    for number, row in enumerate(cells):
        row[place : place + 1] = [odd[number % len(odd)]][: len(row) - place]
    frame = pd.DataFrame(
        {number: as_column([row[number] for row in cells]) for number in range(len(header))}
    )
    frame.columns = pd.Index(header, dtype=object)
    try:
        cohort = hr.Cohort.from_frame(frame)
    except CohortError as error:
        is_a_sentence(error)
    else:
        is_whole(cohort, tmp_path)


@cache
def a_workbook() -> bytes:
    book = openpyxl.Workbook()
    for row in ([*HEADER, "arm"], [*ROW, "=1+1"], [*ROW, 7], [*ROW, None]):
        book.active.append(row)
    file = io.BytesIO()
    book.save(file)
    # Without the moment of its making, so that it is the same every time.
    return replaced(file.getvalue(), "docProps/core.xml", b"")


@cache
def a_parquet_file() -> bytes:
    file = io.BytesIO()
    pd.DataFrame([ROW] * 3, columns=HEADER).assign(visit=[1, 2, None]).to_parquet(file)
    return file.getvalue()


def replaced(
    workbook: bytes, part: str, content: bytes, *, claimed_bytes: int | None = None
) -> bytes:
    """A workbook with one of its parts exchanged."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(workbook)) as old,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            data = content if name == part else old.read(name)
            new.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
            if name == part and claimed_bytes is not None:
                new.getinfo(name).file_size = claimed_bytes
    return file.getvalue()


@given(data=st.data())
@unquick
def test_a_spoiled_file_is_a_table_or_a_sentence(read_or_say_why, mutations, data) -> None:
    name, whole = data.draw(
        st.sampled_from([("m.xlsx", a_workbook()), ("m.parquet", a_parquet_file())])
    )
    read_or_say_why(data.draw(mutations(whole)), name)


@given(data=st.data())
@unquick
def test_a_workbook_with_a_spoiled_part_is_a_table_or_a_sentence(
    read_or_say_why, mutations, data
) -> None:
    whole = a_workbook()
    parts = zipfile.ZipFile(io.BytesIO(whole)).namelist()
    part = data.draw(st.sampled_from([SHEET, SHEET, *parts]))
    spoiled = data.draw(mutations(zipfile.ZipFile(io.BytesIO(whole)).read(part)))
    read_or_say_why(replaced(whole, part, spoiled), "m.xlsx")


# --- what is small on the disk and large in memory --------------------------------------------

SHEET_XML = (
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
    "<sheetData>{}</sheetData></worksheet>"
)


def sheet(*rows: str) -> bytes:
    return replaced(a_workbook(), SHEET, SHEET_XML.format("".join(rows)).encode())


def inline(cell: str, text: str) -> str:
    return f'<c r="{cell}" t="inlineStr"><is><t>{text}</t></is></c>'


HEADING = f'<row r="1">{"".join(inline(c + "1", n) for c, n in zip("ABCDE", HEADER, strict=True))}'


def blown_up() -> bytes:
    # By its own account, which is what zipfile goes by: to write gigabytes would take a minute.
    return replaced(a_workbook(), SHEET, b"", claimed_bytes=5 * 10**9)


def far_down() -> bytes:
    return sheet(HEADING, "</row>", f'<row r="2000000000">{inline("A2000000000", "a.wav")}</row>')


def far_right() -> bytes:
    rows = (f'<row r="{n}">{inline(f"XFD{n}", "x")}</row>' for n in range(2, 60_000))
    return sheet(HEADING, "</row>", *rows)


def entities() -> bytes:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 11))
    text = f'<!DOCTYPE w [<!ENTITY l0 "ha">{laughs}]>' + SHEET_XML.format(
        f'<row r="1">{inline("A1", "&l10;")}</row>'
    )
    return replaced(a_workbook(), SHEET, text.encode())


@pytest.mark.parametrize("bomb", [blown_up, far_down, far_right, entities])
def test_a_workbook_that_unpacks_to_gigabytes_is_refused_in_little_memory(
    tmp_path, in_little_memory, bomb
) -> None:
    path = tmp_path / "bomb.xlsx"
    path.write_bytes(bomb())
    assert path.stat().st_size < 4_000_000
    told = in_little_memory(READ, path, megabytes=600)
    assert told.startswith("UnreadableTableError: ")
    assert told.endswith(".")


def test_a_parquet_file_of_endless_rows_is_refused_in_little_memory(
    tmp_path, in_little_memory
) -> None:
    path = tmp_path / "bomb.parquet"
    table = pa.table({name: pa.nulls(10_500_000, pa.null()) for name in HEADER})
    pq.write_table(table, path)
    assert path.stat().st_size < 4_000_000
    told = in_little_memory(READ, path, megabytes=600)
    assert told.startswith("UnreadableTableError: ")
    assert "10,500,000 rows and 5 columns" in told


@pytest.mark.parametrize(("extra", "told"), [(10_000, "read"), (60_000, "UnreadableTableError: ")])
def test_a_table_of_very_many_columns_is_read_or_refused_at_once(
    tmp_path, in_little_memory, extra, told
) -> None:
    path = tmp_path / "wide.csv"
    header = [*HEADER, *(f"q{number}" for number in range(extra))]
    path.write_text(",".join(header) + "\n" + ",".join([*ROW, *["1"] * extra]))
    assert in_little_memory(READ, path, megabytes=1_500).startswith(told)


def test_short_rows_below_a_wide_header_are_refused_in_little_memory(
    tmp_path, in_little_memory
) -> None:
    path = tmp_path / "short.csv"
    path.write_text(",".join([*HEADER, *(f"q{n}" for n in range(19_000))]) + "\na.wav" * 400_000)
    told = in_little_memory(READ, path, megabytes=600)
    assert told.startswith("UnreadableTableError: ")
    assert "spans 400,000 rows and 19,005 columns" in told


def test_a_cell_of_megabytes_is_read(tmp_path, in_little_memory) -> None:
    """Experiments in a browser write whole recordings into cells."""
    path = tmp_path / "huge.csv"
    path.write_text(",".join(HEADER) + "\n" + ",".join([*ROW[:-1], "x" * 30_000_000]))
    assert in_little_memory(READ, path, megabytes=1_500) == "read"


def test_an_endless_run_of_delimiters_ends_with_a_sentence(tmp_path, in_little_memory) -> None:
    path = tmp_path / "commas.csv"
    path.write_text("recording" + "," * 3_000_000)
    told = in_little_memory(READ, path, megabytes=1_500)
    assert told.split(":")[0].endswith("Error")
