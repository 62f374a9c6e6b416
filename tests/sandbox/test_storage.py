"""The upload host takes what a pre-signed URL permits, and nothing else."""

import hashlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from helios_research.recording import AudioFacts, examine
from helios_research.sandbox import storage

RECORDINGS = Path(__file__).parents[2] / "datasets" / "demo_cohort" / "recordings"


def target(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def test_an_upload_is_taken_and_logged_under_its_run(caller, audio):
    created = caller.create()
    answer = caller.put(created["recordingUploadUrl"], audio())
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["etag"].strip('"')
    (put,) = caller.sandbox.log.puts[created["id"]]
    assert put.sha256 == hashlib.sha256(audio()).hexdigest()
    assert put.size_bytes == len(audio())
    assert put.media_type == "audio/wav"
    assert (put.run_status, put.taken) == ("CREATED", True)


def test_an_expired_url_answers_403_in_xml(caller, clock, audio):
    created = caller.create()
    clock.advance(3_600)
    answer = caller.put(created["recordingUploadUrl"], audio())
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/xml"
    assert "<Code>AccessDenied</Code><Message>Request has expired</Message>" in answer.text
    assert caller.sandbox.log.puts[created["id"]] == []
    assert caller.state(created["id"])["status"] == "CREATED"


def test_a_url_of_one_run_does_not_open_another(caller, audio):
    first, second = caller.create(), caller.create()
    forged = first["recordingUploadUrl"].replace(first["id"], second["id"])
    answer = caller.put(forged, audio())
    assert answer.status_code == 403
    assert "<Code>SignatureDoesNotMatch</Code>" in answer.text


def test_the_api_key_is_refused_and_told_on(caller, audio):
    created = caller.create()
    answer = caller.put(created["recordingUploadUrl"], audio(), **{"x-api-key": "secret"})
    assert answer.status_code == 400
    (violation,) = caller.sandbox.log.violations
    assert violation.what == "API key sent to the upload host"
    assert violation.run_id == created["id"]
    assert "secret" not in answer.text


def test_a_chunked_upload_is_refused_with_501(caller):
    def blocks() -> Iterator[bytes]:
        yield b"some"
        yield b"bytes"

    created = caller.create()
    answer = caller.storage.put(created["recordingUploadUrl"], content=blocks())
    assert answer.status_code == 501
    assert "<Code>NotImplemented</Code>" in answer.text
    assert [violation.what for violation in caller.sandbox.log.violations] == ["chunked upload"]


def test_an_upload_without_a_length_is_refused_with_411(caller):
    created = caller.create()
    path = target(created["recordingUploadUrl"])
    request = f"PUT {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    received, _ = caller.raw(request, to_storage=True)
    assert received.startswith(b"HTTP/1.1 411 ")
    assert b"MissingContentLength" in received


def test_an_upload_that_is_too_large_is_refused_before_it_is_read(start, audio):
    caller = start(max_upload_bytes=10)
    answer = caller.put(caller.create()["recordingUploadUrl"], b"x" * 11)
    assert answer.status_code == 400
    assert "EntityTooLarge" in answer.text


def test_an_empty_upload_is_taken_and_fails_as_audio(caller):
    failed = caller.settle(caller.submit(b""))
    assert failed["errorCode"] == "ERR_RECORDING_INVALID_FORMAT"


def test_an_upload_that_breaks_off_leaves_the_run_as_it_was(caller):
    created = caller.create()
    path = target(created["recordingUploadUrl"])
    head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n".encode()
    parts = urlsplit(caller.sandbox.upload_url)
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        connection.sendall(head + b"x" * 500)
    for _ in range(1_000):
        if caller.sandbox.log.count(step=None, status=499):
            break
        time.sleep(0.005)
    assert caller.sandbox.log.count(status=499) == 1
    assert caller.sandbox.log.puts[created["id"]] == []
    assert caller.state(created["id"])["status"] == "CREATED"


def test_the_same_bytes_again_are_harmless_while_the_run_is_created(caller, audio):
    created = caller.create()
    for _ in range(2):
        assert caller.put(created["recordingUploadUrl"], audio()).status_code == 200
    assert caller.settle(created["id"])["status"] == "COMPLETE_OK"
    assert [put.taken for put in caller.sandbox.log.puts[created["id"]]] == [True, True]
    assert caller.sandbox.log.violations == []


def test_other_bytes_replace_the_recording_while_the_run_is_created(caller, audio):
    created = caller.create()
    caller.put(created["recordingUploadUrl"], audio(speech_s=1.0))
    caller.put(created["recordingUploadUrl"], audio(speech_s=20.0))
    assert caller.settle(created["id"])["status"] == "COMPLETE_OK"
    sha256 = hashlib.sha256(audio(speech_s=20.0)).hexdigest()
    assert caller.sandbox.log.runs_by_audio == {sha256: [created["id"]]}


def test_an_upload_after_processing_began_changes_nothing_and_is_told_on(caller, clock, audio):
    created = caller.create()
    caller.put(created["recordingUploadUrl"], audio())
    clock.advance(0.2)
    assert caller.put(created["recordingUploadUrl"], audio(speech_s=1.0)).status_code == 200
    assert caller.settle(created["id"])["status"] == "COMPLETE_OK"
    assert [put.taken for put in caller.sandbox.log.puts[created["id"]]] == [True, False]
    (violation,) = caller.sandbox.log.violations
    assert violation.what == "other bytes put while the run was RUNNING"


def test_the_same_bytes_after_processing_began_are_ignored_and_forgiven(caller, clock, audio):
    created = caller.create()
    caller.put(created["recordingUploadUrl"], audio())
    clock.advance(0.2)
    assert caller.put(created["recordingUploadUrl"], audio()).status_code == 200
    assert [put.taken for put in caller.sandbox.log.puts[created["id"]]] == [True, False]
    assert caller.sandbox.log.violations == []


def test_nothing_stays_on_disk_once_it_has_been_examined(caller, audio, monkeypatch):
    folders = set()
    original = storage.NamedTemporaryFile

    def remembering(dir, **others):
        folders.add(dir)
        return original(dir=dir, **others)

    monkeypatch.setattr(storage, "NamedTemporaryFile", remembering)
    for number in range(5):
        caller.settle(caller.submit(audio(salt=str(number % 3))))
    (folder,) = folders
    assert list(folder.iterdir()) == []
    caller.sandbox.stop()
    assert not folder.exists()


def test_each_content_is_examined_once(start, clock, audio, read_plainly):
    examined = []

    def counting(path: str) -> AudioFacts:
        facts = read_plainly(path)
        examined.append(facts.sha256)
        return facts

    caller = start(clock=clock, examine=counting)
    for salt in ("a", "b", "a", "a"):
        caller.settle(caller.submit(audio(salt=salt)))
    assert len(examined) == len(set(examined)) == 2


def test_an_examination_that_fails_ends_the_run_and_says_so(start, clock, audio, caplog):
    def broken(path: str) -> AudioFacts:
        raise RuntimeError("out of paper")

    caller = start(clock=clock, examine=broken)
    failed = caller.settle(caller.submit(audio()))
    assert failed["errorCode"] == "ERR_INTERNAL"
    assert "out of paper" in failed["errorReason"]
    assert "could not examine" in caplog.text


@pytest.mark.parametrize(
    ("name", "media_type", "outcome"),
    [
        ("007_visit1.flac", "audio/flac", None),
        ("P02_visit1.webm", "audio/webm", None),
        ("P02_visit1_muted.flac", "audio/flac", "ERR_TRANSCRIPTION_FAILED"),
        ("P03_visit3_ventilator.ogg", "audio/ogg", "ERR_TRANSCRIPTION_FAILED"),
        ("P05_visit1_broken_off.mp3", "audio/mpeg", "ERR_RECORDING_TOO_SHORT"),
        ("P08_visit2_left_running.webm", "audio/webm", "ERR_RECORDING_TOO_LONG"),
        ("P11_visit2_export_log.wav", "audio/wav", "ERR_RECORDING_INVALID_FORMAT"),
    ],
)
def test_real_audio_is_decoded_and_judged(start, clock, name, media_type, outcome):
    caller = start(clock=clock, examine=examine)
    run_id = caller.create()
    audio = (RECORDINGS / name).read_bytes()
    caller.put(run_id["recordingUploadUrl"], audio, **{"content-type": media_type})
    done = caller.settle(run_id["id"])
    assert done["errorCode"] == outcome
    assert (done["results"] is None) == (outcome is not None)
