"""Where a recording's bytes are, and how a file is hashed while it is read."""

import errno
import functools
import hashlib
import http.server
import io
import os
import shutil
import sys
import threading
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_research.errors import RecordingUnavailableError
from helios_research.recording import Stamp, examine, read_blocks, stamp_of, without_secrets
from helios_research.recording.source import HashingReader, open_recording

DATA = bytes(range(256)) * 5_000


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "Aufnahme Zoë 録音 🎙 (1).wav"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def web(tmp_path):
    """Serve the folder over HTTP, without ranges, as Python's own server does."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_name_may_hold_any_unicode(recording):
    assert b"".join(read_blocks(str(recording))) == DATA
    assert stamp_of(str(recording)).size_bytes == len(DATA)


def test_a_name_may_look_like_an_instruction_to_ffmpeg(tmp_path):
    path = tmp_path / "concat:a|b.wav"
    path.write_bytes(DATA)
    assert b"".join(read_blocks(str(path))) == DATA


def test_blocks_have_the_size_asked_for(recording):
    sizes = [len(block) for block in read_blocks(str(recording), 1_000_000)]
    assert sizes == [1_000_000, 280_000]


def test_a_stamp_changes_when_the_file_is_written_to(recording):
    before = stamp_of(str(recording))
    assert stamp_of(str(recording)) == before
    os.utime(recording, ns=(0, 1))
    assert stamp_of(str(recording)) != before


@pytest.mark.skipif(sys.platform == "win32", reason="only POSIX tells when a file was renamed")
@pytest.mark.parametrize("keeps_times", [True, False])
def test_a_file_in_the_place_of_another_has_another_stamp_at_equal_size_and_time(
    tmp_path, keeps_times
):
    """Unpacked archives give many files one time; names are swapped to correct a mistake."""
    mine, other = tmp_path / "a.wav", tmp_path / "b.wav"
    for path in (mine, other):
        path.write_bytes(path.name.encode())
        os.utime(path, (1.7e9, 1.7e9))
    before = stamp_of(str(mine))
    # File systems count time in steps of a few milliseconds.
    time.sleep(0.05)
    if keeps_times:
        shutil.copy2(other, mine)
    else:
        other.replace(mine)
    assert mine.stat().st_mtime == 1.7e9
    assert stamp_of(str(mine)) != before


@pytest.mark.parametrize("stamp", [Stamp(12, "345"), Stamp(None, "a:b"), Stamp(0, "")])
def test_a_stamp_survives_being_written_as_text(stamp):
    assert Stamp.parse(str(stamp)) == stamp


def test_a_missing_file_says_so_and_what_to_check(tmp_path):
    path = tmp_path / "gone.wav"
    with pytest.raises(RecordingUnavailableError) as caught:
        stamp_of(str(path))
    assert str(caught.value) == (
        f"The recording {path} does not exist: check the path, and the folder that it is relative "
        "to."
    )


def test_a_folder_is_not_a_recording(tmp_path):
    with pytest.raises(RecordingUnavailableError, match="is a folder: name one file in it"):
        stamp_of(str(tmp_path))


def test_a_symbolic_link_that_leads_to_itself_is_named(tmp_path):
    (tmp_path / "a.wav").symlink_to(tmp_path / "b.wav")
    (tmp_path / "b.wav").symlink_to(tmp_path / "a.wav")
    with pytest.raises(RecordingUnavailableError, match="symbolic link that leads back to itself"):
        next(read_blocks(str(tmp_path / "a.wav")))


def test_a_named_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(RecordingUnavailableError, match="is not a regular file"):
        next(read_blocks(str(tmp_path / "pipe.wav")))


@pytest.mark.parametrize("name", ["a\0b.wav", "x" * 300 + ".wav"])
def test_a_name_that_no_system_takes_is_a_sentence(tmp_path, name):
    with pytest.raises(RecordingUnavailableError, match=r"^The recording .*[a-z]\.$"):
        stamp_of(f"{tmp_path}/{name}")


def test_a_file_that_may_not_be_read_is_a_sentence(recording, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(
        RecordingUnavailableError, match="cannot be opened with your permissions: ask its owner"
    ):
        next(read_blocks(str(recording)))


def test_a_network_drive_that_was_lost_is_a_sentence(recording, monkeypatch):
    def lose(*args, **kwargs):
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr("os.stat", lose)
    with pytest.raises(
        RecordingUnavailableError, match="is on a network drive that is not connected"
    ):
        stamp_of(str(recording))


def test_secrets_in_a_url_are_not_shown():
    url = "https://me:hunter2@host.org/a%20b.wav?X-Amz-Signature=secret#part"
    assert without_secrets(url) == "https://host.org/a%20b.wav"


def test_a_server_without_ranges_is_read_all_the_same(web, recording):
    recording.rename(recording.with_name("a.wav"))
    assert b"".join(read_blocks(f"{web}/a.wav")) == DATA
    with open_recording(f"{web}/a.wav") as (file, stamp):
        assert stamp.size_bytes == len(DATA)
        assert file.seek(-10, os.SEEK_END) == len(DATA) - 10
        assert file.read() == DATA[-10:]


def test_a_missing_url_says_so_without_its_secrets(web):
    with pytest.raises(RecordingUnavailableError) as caught:
        stamp_of(f"{web}/gone.wav?token=secret")
    assert "does not exist" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_unknown_kind_of_address_is_a_sentence():
    with pytest.raises(RecordingUnavailableError, match=r"nonsense://a/b\.wav cannot be read"):
        stamp_of("nonsense://a/b.wav")


def test_an_address_without_a_server_is_a_sentence():
    with pytest.raises(RecordingUnavailableError, match=r"^The recording http://127\.0\.0\.1:9/"):
        stamp_of("http://127.0.0.1:9/a.wav")


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    """Run a real S3 server here, found as a researcher's own would be: by environment."""
    import boto3
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        patch.setenv("AWS_CONFIG_FILE", str(tmp_path_factory.mktemp("aws") / "none"))
        client = boto3.client("s3")
        client.create_bucket(
            Bucket="voices", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        yield client
        client.close()
        s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.mark.parametrize("audio_format", ["flac", "mp4/aac", "webm/opus"])
def test_a_recording_in_s3_gives_the_facts_of_a_local_one(bucket, files, tmp_path, audio_format):
    local = tmp_path / "a"
    local.write_bytes(files[audio_format])
    key = f"{audio_format}/Zoë 1.bin"
    bucket.put_object(Bucket="voices", Key=key, Body=files[audio_format])
    remote = examine(f"s3://voices/{key}")
    assert replace(remote, stamp=None) == replace(examine(str(local)), stamp=None)
    assert remote.stamp == stamp_of(f"s3://voices/{key}")


def test_a_remote_stamp_changes_with_the_object(bucket):
    bucket.put_object(Bucket="voices", Key="a.wav", Body=b"one")
    before = stamp_of("s3://voices/a.wav")
    bucket.put_object(Bucket="voices", Key="a.wav", Body=b"two")
    assert stamp_of("s3://voices/a.wav") != before


def test_a_large_object_is_read_in_ranges(bucket):
    bucket.put_object(Bucket="voices", Key="large.wav", Body=DATA * 3)
    with open_recording("s3://voices/large.wav") as (file, stamp):
        assert stamp.size_bytes == 3 * len(DATA)
        file.seek(2_000_000)
        assert file.read(10) == (DATA * 3)[2_000_000:2_000_010]
    assert b"".join(read_blocks("s3://voices/large.wav")) == DATA * 3


@pytest.mark.parametrize("location", ["s3://voices/gone.wav", "s3://no-such-bucket/a.wav"])
def test_a_missing_object_is_a_sentence(bucket, location):
    with pytest.raises(RecordingUnavailableError, match=f"The recording {location} does not exist"):
        stamp_of(location)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(RecordingUnavailableError, match="needs another package"):
        stamp_of("gs://bucket/a.wav")


BYTES = bytes(range(256)) * 8


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 900))))
def test_the_hash_is_that_of_the_file_however_a_decoder_jumps_about(jumps):
    reader = HashingReader(io.BytesIO(BYTES))
    for offset, size in jumps:
        reader.seek(offset)
        assert reader.read(size) == BYTES[offset : offset + size]
    assert reader.finish() == (hashlib.sha256(BYTES).hexdigest(), len(BYTES))


def test_a_file_read_in_order_is_read_once():
    class Counting(io.BytesIO):
        bytes_read = 0

        def read(self, size=-1, /):
            data = super().read(size)
            self.bytes_read += len(data)
            return data

    file = Counting(BYTES)
    reader = HashingReader(file)
    while reader.read(100):
        pass
    reader.finish()
    assert file.bytes_read == len(BYTES)


def test_a_failure_to_read_is_remembered_even_when_a_decoder_swallows_it():
    class Lost(io.BytesIO):
        def read(self, _size=-1, /):
            raise OSError("gone")

    reader = HashingReader(Lost(BYTES))
    with pytest.raises(OSError, match="gone"):
        reader.read(1)
    with pytest.raises(OSError, match="gone"):
        reader.finish()
