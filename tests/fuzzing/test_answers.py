"""Whatever answers at the service's address, it is an answer or a failure in words, never more."""

import asyncio
import hashlib
import json
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import helios_research as hr
from helios_research.api.client import Client
from helios_research.api.models import RunRequest, flatten_result, without_transcripts
from helios_research.api.transport import Failure, Success, UploadBody
from helios_research.ledger import Ledger
from helios_research.ledger.checksums import register
from helios_research.ledger.schema import ANSWER, to_json
from helios_research.ledger.storage import DATABASE_NAME

RUN = "6f0f7a0e-2f5c-4b8e-9d55-0d9d8b1c1d11"
REQUEST = RunRequest(
    user_label="P07", date_of_birth="1990-01-31", birth_sex="FEMALE", language="en-GB"
)
SECTION = {
    "startSecs": 0.0,
    "finishSecs": 30.0,
    "transcript": "said in confidence",
    "mentalStrain": {"value": 0.5},
    "stress": {"value": 0.33},
    "uniformStress": {"value": 0.4},
}
WHOLE = {
    "id": RUN,
    "recordingUploadUrl": "http://127.0.0.1:1/recordings/x?signature=s",
    "features": [],
    "status": "COMPLETE_OK",
    "createdAt": "2026-11-22T12:00:00Z",
    "completedAt": "2026-11-22T12:00:09Z",
    "warnings": ["quiet"],
    "errorCode": None,
    "results": {"sections": [SECTION]},
    "detail": [{"loc": ["body", "user", "birthSex"], "msg": "no", "type": "enum"}],
}

lean = settings(
    max_examples=settings().max_examples // 3,
    deadline=None,
    # Shrinking takes minutes; what fails can be read as it is.
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

keys = st.one_of(st.sampled_from([*WHOLE, *SECTION, "value", "sections"]), st.text(max_size=4))
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        ["COMPLETE_ERROR", "CREATED", RUN, "\ud800", "NaN", "9999-12-31T23:59:59-14:00"]
    ),
    st.sampled_from([10**400, -(2**63) - 1, 1e308, 5e-324]),
)
documents = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=12,
)


@st.composite
def nearly_whole(draw: st.DrawFn) -> Any:
    """A good answer with something else in a few of its places."""
    answer = json.loads(json.dumps(WHOLE))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.sampled_from([answer, answer["results"] or {}, SECTION]))
        if place is SECTION:
            answer["results"] = {"sections": draw(st.lists(sections, max_size=3))}
        elif isinstance(place, dict):
            place[draw(st.sampled_from([*WHOLE, "sections"]))] = draw(documents)
        if not isinstance(answer["results"], dict):
            break
    return answer


sections = st.dictionaries(keys, documents, max_size=4).map(lambda changes: SECTION | changes)
bodies = st.one_of(
    nearly_whole().map(json.dumps).map(str.encode),
    documents.map(json.dumps).map(str.encode),
    st.binary(max_size=60),
    st.sampled_from(
        [
            b"[" * 100_000,
            b'{"id":' * 50_000,
            b'{"id": "a", "id": "b", "status": "RUNNING", "status": 7}',
            b'{"id": 1' + b"0" * 5_000 + b', "status": "RUNNING"}',
            b"\xff\xfe{\x00}\x00",
            b"\xef\xbb\xbf" + json.dumps(WHOLE).encode(),
            json.dumps(WHOLE).encode()[:-40],
            json.dumps(WHOLE | {"errorReason": "x" * 200_000}).encode(),
            json.dumps(WHOLE | {"warnings": ["x"] * 50_000}).encode(),
            json.dumps(WHOLE | {"results": {"sections": [SECTION] * 500}}).encode(),
            b"<html>Sign in</html>",
            b"",
        ]
    ),
)
fields = st.dictionaries(
    st.sampled_from(["Content-Type", "Retry-After", "Location", "Date", "Set-Cookie"]),
    st.one_of(
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
        st.sampled_from(["text/html", "9" * 300, "http://[", "Sun, 99 Nov 2026 12:00:00 GMT"]),
    ),
    max_size=3,
)
statuses = st.sampled_from(
    [200, 200, 200, 200, 201, 204, 301, 307, 400, 401, 404, 409, 413, 418, 422, 429, 500, 503, 599]
)


@dataclass
class Mouth:
    """A server that says what it is told to say."""

    url: str = ""
    status: int = 200
    headers: dict[str, str] | None = None
    body: bytes = b""


@pytest.fixture(scope="module")
def mouth() -> Iterator[Mouth]:
    told = Mouth()

    class Handler(BaseHTTPRequestHandler):
        def do_any(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", "0")))
            self.send_response_only(told.status)
            for name, value in (told.headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(told.body)))
            self.end_headers()
            self.wfile.write(told.body)
            self.close_connection = True

        do_GET = do_POST = do_PUT = do_any  # noqa: N815 (named by http.server)

        def log_message(self, format: str, *values: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_port}"
    yield told
    server.shutdown()
    server.server_close()
    thread.join()


async def ask_everything(base_url: str) -> list[Any]:
    body = UploadBody(3, "audio/wav", hashlib.sha256(b"abc").hexdigest(), lambda: iter([b"abc"]))
    async with Client(api_key="nobody-may-see-it", base_url=base_url).connect() as service:
        return [
            await service.account(),
            await service.create(REQUEST),
            await service.fetch(RUN, "P07"),
            await service.upload(f"{base_url}/recordings/x?signature=secret", body),
        ]


@given(status=statuses, headers=fields, body=bodies)
@lean
def test_any_answer_is_understood_or_a_failure_in_words(mouth, status, headers, body) -> None:
    mouth.status, mouth.headers = status, headers
    mouth.body = b"" if status == 204 else body
    answers = asyncio.run(ask_everything(mouth.url))
    for answer in answers:
        assert isinstance(answer, Success | Failure)
        if isinstance(answer, Failure):
            assert 0 < len(answer.reason) < 2_000
            assert "nobody-may-see-it" not in answer.reason
            assert answer.retry_after_s is None or 0 <= answer.retry_after_s <= 120
            assert answer.as_error(mouth.url).args[0]
    fetched = answers[2]
    if isinstance(fetched, Success):
        assert "said in confidence" not in json.dumps(without_transcripts(fetched.raw))
        assert flatten_result(json.dumps(fetched.raw))["model_run_id"].lower() == RUN


@pytest.fixture(scope="module")
def scored(tmp_path_factory, finished_study) -> tuple[hr.Study, int]:
    """A study of our own, and the attempt that scored its first row."""
    folder = tmp_path_factory.mktemp("answers") / "study"
    shutil.copytree(finished_study, folder)
    study = hr.Study(folder)
    # Recordings are sent in any order.
    first_run = study.results()["model_run_id"][0]
    with Ledger.read(folder) as ledger:
        attempts = {attempt.model_run_id: attempt.attempt_id for attempt in ledger.attempts()}
    return study, attempts[first_run]


def replace_answer(folder: Path, attempt_id: int, answer: Any) -> None:
    """Write over what the ledger holds of Helios' answer, as its own statement would."""
    with closing(sqlite3.connect(folder / DATABASE_NAME)) as connection, connection:
        register(connection)
        connection.execute(ANSWER, (attempt_id, to_json(answer)))


@given(changed=nearly_whole() | documents.filter(lambda document: isinstance(document, dict)))
@lean
def test_any_answer_that_was_kept_is_a_row_of_the_results(scored, changed) -> None:
    study, attempt_id = scored
    replace_answer(study.folder, attempt_id, changed)
    results = study.results()
    assert results["outcome"].tolist() == ["scored", "scored", "failed", "invalid"]
    assert not np.isinf(results["mental_strain"]).any()
    read = pd.read_parquet(study.to_parquet(study.folder / "scores.parquet"))
    assert list(read.columns) == list(results.columns)


@pytest.mark.parametrize("damaged", [{}, {"id": RUN}, {"id": RUN, "status": "\ud800"}])
def test_an_answer_that_was_damaged_is_said_in_its_own_row(scored, damaged) -> None:
    study, attempt_id = scored
    replace_answer(study.folder, attempt_id, damaged)
    row, *others = study.results().to_dict("records")
    assert row["error_code"] == "UNREADABLE_ANSWER"
    assert "from a backup; the other recordings are not affected." in row["error_reason"]
    assert pd.isna(row["mental_strain"])
    assert others[0]["mental_strain"] > 0
