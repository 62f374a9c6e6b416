"""Make ``shift_study_results.parquet``: the results of a study that never took place.

Everything in it is synthetic, and its ``source`` column says so. 120 participants in two arms
(day shift, night shift) and three sites were to record once a day for two weeks. What is true in
it by construction, so that an analysis can be held against it:

- ``sleep_propensity`` of the night shift starts ``NIGHT_START`` above the day shift's and gains
  another ``NIGHT_GROWTH`` by the last visit, in standard deviations of the latent score;
  ``exhaustion`` has half of that; the other dimensions do not differ between the arms;
- ``mental_strain`` is a composite of the five dimensions;
- hours awake add ``PER_HOUR_AWAKE`` per hour to sleep propensity within each arm;
- ``PERSON_SHARE`` of each latent score's variance lies between people, the rest between visits;
- recordings fail more than twice as often at the site Girona, mostly for too little speech;
- some visits were missed and have no row at all, and some participants dropped out.

Run it again with ``python datasets/make_shift_study.py``; the seed makes it the same each time.
"""

import json
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import ndtr

from helios_research import __version__
from helios_research.columns import (
    BIOMARKERS,
    BUCKET_LEVELS,
    MANIFEST,
    RESULTS,
    RESULTS_SCHEMA_VERSION,
    Column,
    Kind,
    Outcome,
    Source,
)

PARTICIPANTS = 120
VISITS = 14
SEED = 20_260_907
FIRST_DAY = np.datetime64("2026-09-07")
SUBMITTED = np.datetime64("2026-10-12T08:00:00")

NIGHT_START = 0.2
NIGHT_GROWTH = 1.0
PER_HOUR_AWAKE = 0.06
PERSON_SHARE = 0.6
SHARED_ACROSS_DIMENSIONS = 0.5

SITES = ("Girona", "Hamburg", "Leeds")
LANGUAGE_OF_SITE = {"Girona": "es-ES", "Hamburg": "de-DE", "Leeds": "en-GB"}
DIMENSIONS = ("distress", "stress", "exhaustion", "sleep_propensity", "low_self_esteem")
TAGS = ("arm", "site", "visit")
MANIFEST_COLUMNS = (
    *(column.name for column in MANIFEST if column.name != "accent"),
    *TAGS,
)

# (outcome, code, reason, chance at the other sites, chance at Girona)
MISHAPS = (
    ("failed", "ERR_RECORDING_TOO_SHORT", "Less than 10 seconds of speech.", 0.020, 0.075),
    ("failed", "ERR_TRANSCRIPTION_FAILED", "No speech could be transcribed.", 0.009, 0.030),
    ("failed", "ERR_RECORDING_TOO_LONG", "The recording is 3 minutes or longer.", 0.004, 0.004),
    ("failed", "ERR_INTERNAL", "Internal error.", 0.003, 0.003),
    ("skipped", "ERR_RECORDING_TOO_SHORT", "3.1 s of speech; 10 s are needed.", 0.006, 0.020),
    ("skipped", "ERR_RECORDING_INVALID_FORMAT", "The file is empty.", 0.004, 0.006),
    ("invalid", "INVALID_RECORDING_TIME", "recording_time is not ISO 8601.", 0.004, 0.004),
    ("rejected", "HTTP_422", "language: not supported", 0.003, 0.003),
    ("lost", "RESULT_GONE", "The run's data was deleted before it was fetched.", 0.002, 0.002),
    ("pending", None, None, 0.004, 0.004),
)
# What has not reached Helios has no run, and what never ended has no end.
NEVER_SENT = ("invalid", "skipped")
NEVER_ENDED = ("pending", "rejected")


def make_results(seed: int = SEED) -> pd.DataFrame:
    """Make the results table, one row per recording that was listed."""
    rng = np.random.default_rng(seed)
    people = _people(rng)
    rows = _rows(rng, people)
    table = pd.concat([rows, _outcomes(rng, rows), _scores(rng, rows, len(people))], axis="columns")
    _misname_dates(table)
    table.loc[table["outcome"] != Outcome.SCORED, [marker.name for marker in BIOMARKERS]] = np.nan
    table = table.join(_sections_and_runs(rng, table))
    table = table.join(_audio(rng, table))
    table["source"] = Source.SANDBOX.value
    rest = [column.name for column in RESULTS if column.name != "recording_id"]
    return table[["recording_id", *MANIFEST_COLUMNS, *rest]]


def _people(rng: np.random.Generator) -> pd.DataFrame:
    site = rng.choice(SITES, PARTICIPANTS, p=(0.3, 0.3, 0.4))
    language = np.array([LANGUAGE_OF_SITE[name] for name in site])
    abroad = rng.random(PARTICIPANTS) < 0.08
    finishes = rng.random(PARTICIPANTS) < 0.87
    return pd.DataFrame(
        {
            "user_label": [f"P{number:03d}" for number in range(1, PARTICIPANTS + 1)],
            "date_of_birth": np.datetime64("2004-01-01") - rng.integers(0, 14_000, PARTICIPANTS),
            "birth_sex": rng.choice(
                ("FEMALE", "MALE", "INTERSEX", "UNKNOWN"), PARTICIPANTS, p=(0.58, 0.39, 0.01, 0.02)
            ),
            "language": np.where(abroad, "en-US", language),
            "arm": np.where(rng.permutation(PARTICIPANTS) % 2 == 0, "day_shift", "night_shift"),
            "site": site,
            "first_day": FIRST_DAY + 7 * rng.integers(0, 3, PARTICIPANTS),
            "last_visit": np.where(finishes, VISITS, rng.integers(3, VISITS, PARTICIPANTS)),
        }
    )


def _rows(rng: np.random.Generator, people: pd.DataFrame) -> pd.DataFrame:
    """List a row per visit that took place, with the times around it."""
    person = np.repeat(np.arange(len(people)), VISITS)
    visit = np.tile(np.arange(1, VISITS + 1), len(people))
    rows = people.iloc[person].reset_index(drop=True).assign(person=person, visit_number=visit)
    took_place = (visit <= rows["last_visit"]) & (rng.random(len(rows)) < 0.955)
    rows = rows[took_place].reset_index(drop=True)
    rows["visit"] = rows["visit_number"].astype("str")
    label = rows["user_label"].astype("str") + "_v" + rows["visit"].str.zfill(2)
    rows["recording"] = "recordings/" + label + ".wav"
    rows["recording_id"] = rows["recording"]
    rows["date_of_birth"] = rows["date_of_birth"].dt.strftime("%Y-%m-%d")
    return rows.join(_times(rng, rows))


def _times(rng: np.random.Generator, rows: pd.DataFrame) -> pd.DataFrame:
    """Time each recording at the end of the shift; a night shift ends on the next morning."""
    night = (rows["arm"] == "night_shift").to_numpy()
    day = rows["first_day"] + pd.to_timedelta(rows["visit_number"] - 1, unit="D")
    recorded = day + _hours(np.where(night, 30.5, 17.5) + rng.normal(0, 0.5, len(rows)))
    usual_awake = np.where(night, 14.0, 10.5)
    awake = np.clip(usual_awake + rng.normal(0, 1.8, len(rows)), 2, 22)
    woke = recorded - _hours(awake)
    slept = woke - _hours(np.clip(rng.normal(np.where(night, 6.2, 7.4), 1.0), 2, 11))
    not_noted = rng.random(len(rows)) < 0.05
    return pd.DataFrame(
        {
            "recording_time": _local(recorded),
            "sleep_time": _local(slept).mask(not_noted),
            "wake_time": _local(woke).mask(not_noted),
            "awake_deviation": awake - usual_awake,
        }
    )


def _hours(hours: np.ndarray) -> pd.Series:
    return pd.Series(pd.to_timedelta(np.round(hours * 60), unit="min"))


def _local(moments: pd.Series) -> pd.Series:
    return moments.dt.strftime("%Y-%m-%dT%H:%M:%S").astype("str")


def _outcomes(rng: np.random.Generator, rows: pd.DataFrame) -> pd.DataFrame:
    """Draw what became of each recording; Girona has the worst of it."""
    elsewhere, girona = (np.cumsum([mishap[place] for mishap in MISHAPS]) for place in (3, 4))
    draw = rng.random(len(rows))
    which = np.where(
        rows["site"] == "Girona",
        np.searchsorted(girona, draw, side="right"),
        np.searchsorted(elsewhere, draw, side="right"),
    )
    mishaps = [*MISHAPS, (Outcome.SCORED.value, None, None, 0.0, 0.0)]
    names = ("outcome", "error_code", "error_reason")
    drawn = {
        name: pd.Series([mishaps[index][place] for index in which], dtype="str")
        for place, name in enumerate(names)
    }
    noisy = (rng.random(len(rows)) < 0.03) & (drawn["outcome"] == Outcome.SCORED).to_numpy()
    warning = ["The recording is noisy; treat the scores with caution."]
    warnings = pd.Series([warning if is_noisy else None for is_noisy in noisy], dtype="object")
    return pd.DataFrame({**drawn, "warnings": warnings})


def _misname_dates(table: pd.DataFrame) -> None:
    """Write the times of the rows that are invalid for their time as no manifest may."""
    invalid = table["outcome"] == Outcome.INVALID
    times = pd.to_datetime(table.loc[invalid, "recording_time"])
    table.loc[invalid, "recording_time"] = times.dt.strftime("%d/%m/%Y %H:%M").astype("str")


def _scores(rng: np.random.Generator, rows: pd.DataFrame, n_people: int) -> pd.DataFrame:
    """Turn latent scores with a person's share and a visit's share into Helios' two scales."""
    person = _correlated(rng, n_people)[rows["person"]]
    latent = np.sqrt(PERSON_SHARE) * person + np.sqrt(1 - PERSON_SHARE) * _correlated(
        rng, len(rows)
    )
    progress = (rows["visit_number"].to_numpy() - 1) / (VISITS - 1)
    night = np.where(rows["arm"] == "night_shift", NIGHT_START + NIGHT_GROWTH * progress, 0.0)
    awake = PER_HOUR_AWAKE * rows["awake_deviation"].to_numpy()
    latent[:, DIMENSIONS.index("sleep_propensity")] += night + awake
    latent[:, DIMENSIONS.index("exhaustion")] += 0.5 * night
    scores = {}
    for place, name in enumerate(DIMENSIONS):
        uniform = np.round(ndtr(latent[:, place]), 4)
        quarter = np.searchsorted((0.25, 0.5, 0.75), uniform)
        scores[name] = np.array(BUCKET_LEVELS)[quarter]
        scores[f"uniform_{name}"] = uniform
    scores["mental_strain"] = np.round(ndtr(latent.mean(axis=1) / latent.mean(axis=1).std()), 4)
    return pd.DataFrame(scores)


def _correlated(rng: np.random.Generator, n: int) -> np.ndarray:
    shared = rng.standard_normal((n, 1))
    own = rng.standard_normal((n, len(DIMENSIONS)))
    return np.sqrt(SHARED_ACROSS_DIMENSIONS) * shared + np.sqrt(1 - SHARED_ACROSS_DIMENSIONS) * own


def _sections_and_runs(rng: np.random.Generator, table: pd.DataFrame) -> pd.DataFrame:
    """Fill in what the study would have recorded about each model run."""
    n = len(table)
    sent = ~table["outcome"].isin(NEVER_SENT)
    has_run = sent & (table["outcome"] != "rejected")
    ended = has_run & ~table["outcome"].isin(NEVER_ENDED)
    scored = table["outcome"] == Outcome.SCORED
    created = pd.Series(SUBMITTED + np.arange(n) * np.timedelta64(700, "ms")).dt.tz_localize("UTC")
    uploaded = created + _seconds(rng.gamma(4.0, 0.4, n))
    begun = uploaded + _seconds(rng.gamma(2.0, 0.5, n))
    ids = [str(UUID(bytes=rng.bytes(16), version=4)) for _ in range(n)]
    duration = pd.Series(np.round(np.clip(rng.normal(47, 11, n), 15, 170), 2))
    too_long = table["error_code"] == "ERR_RECORDING_TOO_LONG"
    empty = table["error_code"] == "ERR_RECORDING_INVALID_FORMAT"
    return pd.DataFrame(
        {
            "n_sections": pd.Series(1, index=table.index, dtype="Int64").where(scored),
            "start_secs": pd.Series(0.0, index=table.index).where(scored),
            "finish_secs": duration.where(scored),
            "sections": pd.Series([None] * n, dtype="object"),
            "transcript": pd.Series([None] * n, dtype="str"),
            "model_run_id": pd.Series(ids, dtype="str").where(has_run),
            "attempts": pd.Series(np.where(table["error_code"] == "ERR_INTERNAL", 3, 1))
            .astype("Int64")
            .where(sent, 0),
            "created_at": created.where(has_run),
            "uploaded_at": uploaded.where(has_run),
            "run_at": begun.where(ended),
            "completed_at": (begun + _seconds(rng.gamma(6.0, 2.0, n))).where(ended),
            "duration_s": duration.mask(too_long, duration + 150).mask(empty),
        }
    )


def _seconds(seconds: np.ndarray) -> pd.Series:
    return pd.Series(pd.to_timedelta(np.round(seconds * 1000), unit="ms"))


def _audio(rng: np.random.Generator, table: pd.DataFrame) -> pd.DataFrame:
    """Fill in what the preflight would have seen, in keeping with what became of it."""
    n = len(table)
    too_short = table["error_code"] == "ERR_RECORDING_TOO_SHORT"
    silent = table["error_code"] == "ERR_TRANSCRIPTION_FAILED"
    skipped = table["outcome"] == Outcome.SKIPPED
    speech = np.minimum(table["duration_s"] * rng.uniform(0.55, 0.9, n), 60).clip(lower=12)
    speech = speech.mask(too_short, rng.uniform(9.9, 11.5, n)).mask(skipped & too_short, 3.1)
    hashes = [sha256(name.encode()).hexdigest() for name in table["recording_id"]]
    facts = pd.DataFrame(
        {
            "sha256": pd.Series(hashes, dtype="str"),
            "audio_format": "wav/pcm",
            "speech_s": speech.mask(silent, 10.4).round(2),
            "sample_rate_hz": pd.Series(16_000, index=table.index, dtype="Int64"),
            "channels": pd.Series(1, index=table.index, dtype="Int64"),
            "level_dbfs": np.round(rng.normal(-24, 4, n), 1),
            "clipped_fraction": np.round(rng.beta(0.3, 200, n), 5),
            "predicted_error_code": table["error_code"].where(skipped).astype("str"),
        }
    )
    empty = table["error_code"] == "ERR_RECORDING_INVALID_FORMAT"
    decoded = [name for name in facts if name not in ("sha256", "predicted_error_code")]
    facts.loc[empty, decoded] = None
    return facts


def schema() -> pa.Schema:
    """Give the Parquet schema of the table, with its provenance in the footer."""
    manifest = [pa.field(name, pa.string()) for name in MANIFEST_COLUMNS]
    results = [pa.field(column.name, _arrow_type(column)) for column in RESULTS]
    provenance = {
        "schema_version": RESULTS_SCHEMA_VERSION,
        "package_version": __version__,
        "study": "shift_study (synthetic, made by datasets/make_shift_study.py)",
        "base_url": None,
        "tags": list(TAGS),
        "columns": {column.name: column.meaning for column in (*MANIFEST, *RESULTS)},
    }
    footer = {"helios_research": json.dumps(provenance, ensure_ascii=False)}
    return pa.schema([results[0], *manifest, *results[1:]], metadata=footer)


def _arrow_type(column: Column) -> pa.DataType:
    numbers = pa.float64()
    section = [pa.field(name, numbers) for name in ("start_secs", "finish_secs")]
    section += [pa.field(marker.name, numbers) for marker in BIOMARKERS]
    return {
        Kind.TEXT: pa.string(),
        Kind.TEXT_LIST: pa.list_(pa.string()),
        Kind.CATEGORY: pa.dictionary(pa.int32(), pa.string()),
        Kind.NUMBER: numbers,
        Kind.COUNT: pa.int64(),
        Kind.MOMENT: pa.timestamp("us", tz="UTC"),
        Kind.SECTIONS: pa.list_(pa.struct(section)),
    }[column.kind]


def write(path: Path) -> None:
    """Write the table to a Parquet file.

    Parameters
    ----------
    path
        Where to; a file that is there is replaced.
    """
    table = pa.Table.from_pandas(make_results(), schema=schema(), preserve_index=False)
    # pandas' own footer names the writer's version, so the file would change with every upgrade.
    table = table.replace_schema_metadata(schema().metadata)
    pq.write_table(table, path, compression="zstd", compression_level=9)


if __name__ == "__main__":
    target = Path(__file__).with_name("shift_study_results.parquet")
    write(target)
    print(f"{target}: {target.stat().st_size / 1024:.0f} kB")
