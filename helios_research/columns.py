"""The vocabulary: every column of every table, with its type, unit, meaning and value labels.

The Parquet schema, the codebook, the labels on figures and the checks on a results table are all
derived from here, so a name or a meaning is corrected in one place.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

RESULTS_SCHEMA_VERSION = 1


class Kind(StrEnum):
    """What a column holds."""

    TEXT = "text"
    TEXT_LIST = "list of text"
    CATEGORY = "category"
    NUMBER = "number"
    COUNT = "whole number"
    FLAG = "true or false"
    MOMENT = "date and time, UTC"
    SECTIONS = "list of sections"


DTYPES: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.TEXT: "str",
        Kind.TEXT_LIST: "object",
        Kind.CATEGORY: "category",
        Kind.NUMBER: "float64",
        Kind.COUNT: "Int64",
        Kind.FLAG: "boolean",
        Kind.MOMENT: "datetime64[us, UTC]",
        Kind.SECTIONS: "object",
    }
)
"""How columns are stored in a DataFrame."""


class Outcome(StrEnum):
    """What happened to one row of the cohort."""

    SCORED = "scored"
    FAILED = "failed"
    REJECTED = "rejected"
    INVALID = "invalid"
    SKIPPED = "skipped"
    LOST = "lost"
    INVITED = "invited"
    PENDING = "pending"


OPEN_OUTCOMES = (Outcome.INVITED, Outcome.PENDING)
"""Those that are not final."""


class Verdict(StrEnum):
    """What the preflight expects of one recording."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Severity(StrEnum):
    """Whether a problem in the manifest keeps its row from being sent."""

    ERROR = "error"
    WARNING = "warning"


class Source(StrEnum):
    """Where scores come from."""

    THYMIA = "thymia"
    SANDBOX = "sandbox"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: its name in DataFrames and files, and its meaning in one sentence.

    A number has a unit; labels are words for each value, where there are few.
    """

    name: str
    kind: Kind
    meaning: str
    unit: str | None = None
    labels: Mapping[str | float, str] = field(default_factory=lambda: MappingProxyType({}))


# --- the manifest -------------------------------------------------------------------------------

BIRTH_SEXES = ("MALE", "FEMALE", "INTERSEX", "UNKNOWN")

# What a manifest may write, in upper case: the word or its first letter.
BIRTH_SEX_SPELLINGS: Mapping[str, str] = MappingProxyType(
    {spelling: sex for sex in BIRTH_SEXES for spelling in (sex, sex[0])}
)

# What German, French, Spanish, Italian and English tables write: offered, but never taken unasked.
SEX_WORDS: Mapping[str, str] = MappingProxyType(
    {
        word: sex
        for sex, words in {
            "MALE": "man men boy mann männlich maennlich männl. homme masculin hombre varón varon "
            "masculino uomo maschio maschile",
            "FEMALE": "woman women girl frau weiblich weibl. femme féminin feminin mujer femenino "
            "donna femmina femminile",
            "INTERSEX": "intersexual intersexuell intersexe intersessuale",
            "UNKNOWN": "unbekannt inconnu desconocido sconosciuto",
        }.items()
        for word in words.split()
    }
)

REQUIRED_FIELDS = ("recording", "user_label", "date_of_birth", "birth_sex", "language")

MANIFEST = (
    Column("recording", Kind.TEXT, "Path or URL of the recording, relative to the manifest."),
    Column("user_label", Kind.TEXT, "Pseudonym of the participant; the same label, same person."),
    Column("date_of_birth", Kind.TEXT, "Date of birth, ISO 8601; 01 for an unknown day or month."),
    Column(
        "birth_sex",
        Kind.TEXT,
        "Sex at birth, against which scores are benchmarked.",
        labels=MappingProxyType({sex: sex.lower() for sex in BIRTH_SEXES}),
    ),
    Column("language", Kind.TEXT, "Language and dialect spoken, a BCP 47 tag such as en-GB."),
    Column("accent", Kind.TEXT, "The speaker's accent, where it differs from the language's own."),
    Column("recording_time", Kind.TEXT, "Local date and time of the recording, without a zone."),
    Column("sleep_time", Kind.TEXT, "Local date and time of falling asleep, without a zone."),
    Column("wake_time", Kind.TEXT, "Local date and time of waking up, without a zone."),
)

RECORDING_ID = Column(
    "recording_id",
    Kind.TEXT,
    "Stable key of the row: the researcher's own, else the recording's path as given.",
)

STANDARD_FIELDS = (RECORDING_ID.name, *(column.name for column in MANIFEST))

# --- limits of the API --------------------------------------------------------------------------

LONGEST_LABEL = 50
"""Characters that a user label may have."""

MOST_TAGS = 20
"""Tags that a model run may have."""

LONGEST_RECORDING_S = 180.0
LEAST_SPEECH_S = 10.0

# --- biomarkers ---------------------------------------------------------------------------------

BUCKET_LEVELS = (0.0, 0.33, 0.66, 1.0)
BUCKET_LABELS: Mapping[str | float, str] = MappingProxyType(
    {
        0.0: "lowest of four levels",
        0.33: "second of four levels",
        0.66: "third of four levels",
        1.0: "highest of four levels",
    }
)


@dataclass(frozen=True, slots=True)
class Biomarker:
    """One score of Helios: its column's name, its label in figures, and what a higher value means.

    A bucketed score takes four ordered levels only and is therefore ordinal: it is shown as
    proportions and never averaged.
    """

    name: str
    label: str
    meaning: str
    bucketed: bool

    @property
    def construct(self) -> str:
        """What is measured: the same for a four-level score and its uniform form."""
        return self.name.removeprefix("uniform_")

    @property
    def column(self) -> Column:
        """The biomarker as a column of the results."""
        scale = "four ordered levels" if self.bucketed else "0 to 1"
        labels = BUCKET_LABELS if self.bucketed else MappingProxyType({})
        return Column(self.name, Kind.NUMBER, f"{self.meaning} Higher is more.", scale, labels)


_DIMENSIONS = (
    ("distress", "Distress", "Worry, nervousness, feeling on edge."),
    ("stress", "Stress", "Feeling anxious or wound up, hardly able to relax."),
    ("exhaustion", "Exhaustion", "Mental and physical tiredness from work."),
    ("sleep_propensity", "Sleep propensity", "How likely to fall asleep if given the chance."),
    ("low_self_esteem", "Low self-esteem", "How little confident and capable the person feels."),
)

BIOMARKERS = (
    Biomarker("mental_strain", "Mental strain", "Composite over all dimensions.", bucketed=False),
    *(Biomarker(*dimension, bucketed=True) for dimension in _DIMENSIONS),
    *(
        Biomarker(f"uniform_{name}", f"{label} (uniform)", meaning, bucketed=False)
        for name, label, meaning in _DIMENSIONS
    ),
)

BIOMARKERS_BY_NAME: Mapping[str, Biomarker] = MappingProxyType(
    {marker.name: marker for marker in BIOMARKERS}
)

# --- what happened ------------------------------------------------------------------------------

OUTCOME_LABELS: Mapping[str | float, str] = MappingProxyType(
    {
        Outcome.SCORED: "Helios gave scores",
        Outcome.FAILED: "Helios ended in an error",
        Outcome.REJECTED: "Helios did not accept the metadata",
        Outcome.INVALID: "not sent: the manifest's row has an error",
        Outcome.SKIPPED: "not sent: the preflight expects an error, or the researcher left it out",
        Outcome.LOST: "the answer was deleted before it was fetched",
        Outcome.INVITED: "invited, not yet recorded",
        Outcome.PENDING: "not finished yet",
    }
)

OUTCOME = (
    Column("outcome", Kind.CATEGORY, "What happened to the recording.", labels=OUTCOME_LABELS),
    Column("error_code", Kind.TEXT, "Helios' error code or ours; null where there is none."),
    Column("error_reason", Kind.TEXT, "The error in words."),
    Column(
        "warnings",
        Kind.TEXT_LIST,
        "Warnings from Helios, or about its answer: treat such scores with caution.",
    ),
)

SCORES = tuple(marker.column for marker in BIOMARKERS)

SECTION = (
    Column("n_sections", Kind.COUNT, "Sections scored; with several, the scores are in sections."),
    Column("start_secs", Kind.NUMBER, "Start of the scored section.", "s"),
    Column("finish_secs", Kind.NUMBER, "End of the scored section.", "s"),
    Column("sections", Kind.SECTIONS, "All sections with their scores, where there are several."),
    Column("transcript", Kind.TEXT, "What was said; only when transcripts were asked for."),
)

RUN = (
    Column("model_run_id", Kind.TEXT, "Helios' id of the model run that gave this row."),
    Column("attempts", Kind.COUNT, "Model runs created for this recording."),
    Column("created_at", Kind.MOMENT, "When the model run was created."),
    Column("uploaded_at", Kind.MOMENT, "When its recording had arrived."),
    Column("run_at", Kind.MOMENT, "When Helios began to process it."),
    Column("completed_at", Kind.MOMENT, "When Helios finished."),
)

AUDIO = (
    Column("sha256", Kind.TEXT, "SHA-256 of the recording's bytes, which is its identity."),
    Column("audio_format", Kind.CATEGORY, "Container and codec found in the bytes."),
    Column("duration_s", Kind.NUMBER, "Decoded length.", "s"),
    Column("speech_s", Kind.NUMBER, "Speech found by voice activity detection.", "s"),
    Column("sample_rate_hz", Kind.COUNT, "Sample rate.", "Hz"),
    Column("channels", Kind.COUNT, "Channels."),
    Column("level_dbfs", Kind.NUMBER, "RMS level relative to full scale.", "dBFS"),
    Column("clipped_fraction", Kind.NUMBER, "Samples at full scale, as a share of all.", "0 to 1"),
    Column("predicted_error_code", Kind.TEXT, "The error code that the preflight expects."),
)

SOURCE = Column(
    "source",
    Kind.CATEGORY,
    "Where the scores come from.",
    labels=MappingProxyType(
        {Source.THYMIA: "thymia's Helios", Source.SANDBOX: "the sandbox: synthetic scores"}
    ),
)

RESULTS = (RECORDING_ID, *OUTCOME, *SCORES, *SECTION, *RUN, *AUDIO, SOURCE)
RESULTS_BY_NAME: Mapping[str, Column] = MappingProxyType(
    {column.name: column for column in RESULTS}
)

# --- the tables around the results ------------------------------------------------

ISSUES = (
    Column(
        "row",
        Kind.COUNT,
        "Row as a person counts: in a file, the header is row 1, except in SPSS and Stata.",
    ),
    Column("recording_id", Kind.TEXT, "Key of the row."),
    Column("severity", Kind.CATEGORY, "error (the row is not sent) or warning."),
    Column("column", Kind.TEXT, "Column of the manifest, under its own name."),
    Column("value", Kind.TEXT, "The value in the table."),
    Column("problem", Kind.TEXT, "What is wrong with it."),
    Column("remedy", Kind.TEXT, "What to do about it."),
)

CAUSES = (
    ISSUES[2],
    ISSUES[3],
    Column("rows", Kind.COUNT, "Rows with the problem; 0 where it is one of the table as a whole."),
    Column("examples", Kind.TEXT, "Up to three of the values."),
    ISSUES[5],
    ISSUES[6],
)
"""What is wrong with a table, one row per cause: errors first, then by the number of rows."""

CHECKS = (
    RECORDING_ID,
    Column("verdict", Kind.CATEGORY, "ok, warn (may be refused or score badly) or fail."),
    Column("predicted_error_code", Kind.TEXT, "The error code that Helios is expected to give."),
    Column("reason", Kind.TEXT, "The reason for the verdict."),
    *(column for column in AUDIO if column.name != "predicted_error_code"),
    Column("speech_counted_to_end", Kind.FLAG, "False where counting stopped at enough speech."),
    Column("noise_floor_dbfs", Kind.NUMBER, "Level of the quietest tenth.", "dBFS"),
)

SEND, LEAVE_OUT = "send", "leave out"

BORDERLINE = (
    RECORDING_ID,
    MANIFEST[0],
    *(
        RESULTS_BY_NAME[name]
        for name in ("duration_s", "speech_s", "predicted_error_code", "sha256")
    ),
    Column("verdict", Kind.TEXT, "Yours: send or leave out; empty leaves it to the preflight."),
)

WITHDRAWN_RUNS = (
    Column("model_run_id", Kind.TEXT, "Helios' id of the model run, to pass on to thymia."),
    Column("state", Kind.CATEGORY, "The run's last state in the ledger."),
    Column("audio_may_be_there", Kind.FLAG, "False where no recording was ever uploaded to it."),
    Column("open_link", Kind.TEXT, "Where the participant may still record, if invited to."),
    Column("delete_data", Kind.FLAG, "Whether Helios was asked to delete its data by itself."),
    Column("created_at", Kind.MOMENT, "When the model run was created."),
    Column("completed_at", Kind.MOMENT, "When Helios finished."),
    SOURCE,
)

LINK = "link"

INVITATIONS = (
    Column(LINK, Kind.TEXT, "Where the participant records: a secret, for this participant alone."),
    *(RESULTS_BY_NAME[name] for name in ("model_run_id", "outcome", "error_code", "error_reason")),
)
"""What `Study.invite` adds to the keys and the researcher's own columns."""

RESERVED_NAMES = frozenset(column.name for column in RESULTS) - {RECORDING_ID.name}
