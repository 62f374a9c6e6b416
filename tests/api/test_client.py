"""The client against real servers on this machine, good ones and bad ones."""

import asyncio
import copy
import hashlib
import json
import logging
import pickle
import socket
import ssl
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from helios_research.api.client import Client
from helios_research.api.models import RunRequest
from helios_research.api.transport import Failure, FailureKind, Success, UploadBody
from helios_research.config import BASE_URLS, Parallel
from helios_research.errors import ConfigError
from helios_research.recording import fingerprint, read_blocks
from helios_research.sandbox import SandboxSettings
from support.proxy import ConnectProxy
from support.sandbox import ObservedSandbox

RUN_ID = "6f0f7a0e-2f5c-4b8e-9d55-0d9d8b1c1d11"
SIGNED = "/recordings/P07%2Fnight~1.wav?X-Amz-Signature=s3cret-signature&a=%7E"
ACCOUNT = json.dumps({"id": "lab", "features": []}).encode()

# The shapes of these helpers are in conftest.py, which a test module cannot import.
Serve = Callable[..., Awaitable[Any]]
ConnectTo = Callable[..., Client]
BodyOf = Callable[..., UploadBody]


async def give_account(request: Any) -> None:
    await request.read_body()
    await request.answer(200, ACCOUNT, Content_Type="application/json")


async def take_upload(request: Any) -> None:
    await request.read_body()
    await request.answer(200)


def failure(answer: object) -> Failure:
    assert isinstance(answer, Failure)
    return answer


# --- the way it is meant ------------------------------------------------------------------------


async def test_a_run_is_created_uploaded_and_fetched(
    serve: Serve, connect_to: ConnectTo, request_: RunRequest, body_of: BodyOf
) -> None:
    storage = await serve(take_upload)

    async def api(request: Any) -> None:
        await request.read_body()
        created = {"id": RUN_ID, "recordingUploadUrl": storage.url + SIGNED}
        state = {"id": RUN_ID, "status": "RUNNING"}
        body = created if request.line.startswith("POST") else state
        await request.answer(200, json.dumps(body).encode())

    helios = await serve(api)
    async with connect_to(helios.url).connect() as service:
        created = await service.create(request_, delete_data=True)
        assert isinstance(created, Success)
        uploaded = await service.upload(created.value.recording_upload_url, body_of(b"sound" * 999))
        run = await service.fetch(RUN_ID, "P07")
    assert isinstance(uploaded, Success)
    assert isinstance(run, Success)
    assert run.value.status == "RUNNING"
    assert json.loads(helios.seen[0].body) == request_.to_record() | {"deleteData": True}
    assert storage.seen[0].body == b"sound" * 999


async def test_the_key_goes_to_the_api_and_not_to_the_upload_host(
    serve: Serve, connect_to: ConnectTo, body_of: BodyOf, key: str
) -> None:
    helios, storage = await serve(give_account), await serve(take_upload)
    async with connect_to(helios.url).connect() as service:
        await service.account()
        await service.upload(storage.url + SIGNED, body_of(b"sound"))
        await service.upload(helios.url + SIGNED, body_of(b"sound"))
    assert helios.seen[0].headers["x-api-key"] == key
    assert key not in str(storage.seen[0].headers)
    assert key not in str(helios.seen[1].headers)  # an upload has no key, wherever it goes


async def test_an_upload_has_its_length_and_type_and_is_not_chunked(
    serve: Serve, connect_to: ConnectTo, body_of: BodyOf
) -> None:
    storage = await serve(take_upload)
    async with connect_to(storage.url).connect() as service:
        await service.upload(storage.url + SIGNED, body_of(b"s" * 300_000))
    headers = storage.seen[0].headers
    assert headers["content-length"] == "300000"
    assert headers["content-type"] == "audio/wav"
    assert "transfer-encoding" not in headers
    assert "authorization" not in headers


async def test_the_signed_path_arrives_letter_by_letter(
    serve: Serve, connect_to: ConnectTo, body_of: BodyOf
) -> None:
    storage = await serve(take_upload)
    async with connect_to(storage.url).connect() as service:
        await service.upload(storage.url + SIGNED, body_of(b"sound"))
        await service.upload(storage.url, body_of(b"sound"))
    assert storage.seen[0].line == f"PUT {SIGNED} HTTP/1.1"
    assert storage.seen[1].line == "PUT / HTTP/1.1"
    assert storage.seen[0].headers["host"] == storage.url.removeprefix("http://")


async def test_a_recording_of_no_known_type_is_sent_as_bytes(
    serve: Serve, connect_to: ConnectTo
) -> None:
    storage = await serve(take_upload)
    body = UploadBody(2, None, hashlib.sha256(b"hm").hexdigest(), lambda: iter([b"hm"]))
    async with connect_to(storage.url).connect() as service:
        assert isinstance(await service.upload(storage.url, body), Success)
    assert storage.seen[0].headers["content-type"] == "application/octet-stream"


async def test_a_connection_is_used_again(serve: Serve, connect_to: ConnectTo) -> None:
    helios = await serve(give_account)
    async with connect_to(helios.url).connect() as service:
        for _ in range(5):
            assert isinstance(await service.account(), Success)
    assert helios.connections == 1


async def test_no_more_requests_are_under_way_than_allowed(
    serve: Serve, connect_to: ConnectTo
) -> None:
    busy = most = 0

    async def slowly(request: Any) -> None:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0.001)
        busy -= 1
        await request.answer(200, ACCOUNT)

    helios = await serve(slowly)
    client = connect_to(helios.url, parallel=Parallel(api_requests=4))
    async with client.connect() as service:
        answers = await asyncio.gather(*(service.account() for _ in range(300)))
    assert all(isinstance(answer, Success) for answer in answers)
    assert most == 4


async def test_closing_leaves_no_connection_open(
    serve: Serve, connect_to: ConnectTo, body_of: BodyOf
) -> None:
    helios = await serve(give_account)
    async with connect_to(helios.url).connect() as service:
        await asyncio.gather(*(service.account() for _ in range(5)))
        await service.upload(helios.url, body_of(b"sound"))
        assert helios.open_connections > 1
    await asyncio.sleep(0.05)  # for the server to notice
    assert helios.open_connections == 0


async def test_uploads_take_little_memory_whatever_their_size(
    serve: Serve, connect_to: ConnectTo, tmp_path: Path
) -> None:
    async def discard(request: Any) -> None:
        left = request.length
        while left:
            left -= len(await request.reader.read(min(left, 65_536)))
        await request.answer(200)

    storage = await serve(discard)
    path = tmp_path / "long.wav"
    path.write_bytes(bytes(8 * 2**20))
    digest = hashlib.sha256(bytes(8 * 2**20)).hexdigest()
    body = UploadBody(8 * 2**20, "audio/wav", digest, lambda: read_blocks(str(path)))
    async with connect_to(storage.url).connect() as service:
        tracemalloc.start()
        answers = await asyncio.gather(*(service.upload(storage.url, body) for _ in range(4)))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert all(isinstance(answer, Success) for answer in answers)
    assert peak < 8 * 2**20  # the server's share is in it too; the recordings are 32 MB


# --- recordings that changed --------------------------------------------------------------------


@pytest.mark.parametrize("size", [3, 500_000])
async def test_a_changed_recording_never_arrives_whole(
    serve: Serve, connect_to: ConnectTo, body_of: BodyOf, size: int
) -> None:
    arrived: list[bytes] = []
    broken_off = asyncio.Event()

    async def collect(request: Any) -> None:
        try:
            arrived.append(await request.read_body())
        except asyncio.IncompleteReadError as early:
            arrived.append(early.partial)
            broken_off.set()
            raise

    storage = await serve(collect)
    async with connect_to(storage.url).connect() as service:
        answer = failure(await service.upload(storage.url, body_of(b"s" * size, sha256="0" * 64)))
        await asyncio.wait_for(broken_off.wait(), 5)
    assert (answer.kind, answer.code) == (FailureKind.CHANGED, "INVALID_RECORDING_CHANGED")
    assert len(arrived[0]) < size


async def test_a_recording_that_is_gone_is_a_failure_of_its_own(
    serve: Serve, connect_to: ConnectTo, tmp_path: Path
) -> None:
    storage = await serve(take_upload)
    gone = str(tmp_path / "gone.wav")
    body = UploadBody(5, "audio/wav", "0" * 64, lambda: read_blocks(gone))
    async with connect_to(storage.url).connect() as service:
        answer = failure(await service.upload(storage.url, body))
    assert answer.kind is FailureKind.CHANGED
    assert "cannot be read any more" in answer.reason
    assert "gone.wav" in answer.reason


# --- servers that fail --------------------------------------------------------------------------


async def reset(request: Any) -> None:
    request.reset()


async def reset_within_the_body(request: Any) -> None:
    request.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + ACCOUNT[:9])
    await request.writer.drain()
    request.reset()


async def end_within_the_body(request: Any) -> None:
    request.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + ACCOUNT[:9])
    request.writer.close()


async def end_at_once(request: Any) -> None:
    request.writer.close()


async def speak_no_http(request: Any) -> None:
    request.writer.write(b"220 mail.example ESMTP\r\n")
    request.writer.close()


async def never_end_the_head(request: Any) -> None:
    request.writer.write(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 300_000)
    request.writer.close()


async def say_nothing(request: Any) -> None:
    await request.reader.read()


async def ignore(request: Any) -> None:
    await asyncio.Event().wait()


async def dribble_the_head(request: Any) -> None:
    request.writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        request.writer.write(b"X-More: 1\r\n")
        await request.writer.drain()
        await asyncio.sleep(0.02)


async def dribble_the_body(request: Any) -> None:
    request.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n")
    while True:
        request.writer.write(b" ")
        await request.writer.drain()
        await asyncio.sleep(0.02)


async def claim_gzip(request: Any) -> None:
    await request.answer(200, ACCOUNT, Content_Encoding="gzip")


BREAKING = [
    reset,
    reset_within_the_body,
    end_within_the_body,
    end_at_once,
    speak_no_http,
    never_end_the_head,
    claim_gzip,
]
HANGING = [say_nothing, dribble_the_head, dribble_the_body]


@pytest.mark.parametrize("behave", BREAKING)
async def test_a_connection_that_breaks_is_to_be_tried_again(
    serve: Serve, connect_to: ConnectTo, behave: Callable[[Any], Awaitable[None]]
) -> None:
    helios = await serve(behave)
    async with connect_to(helios.url).connect() as service:
        answer = failure(await service.fetch(RUN_ID, "P07"))
        assert (answer.kind, answer.code) == (FailureKind.RETRY, "UNREACHABLE")
        helios.handle = give_account
        assert isinstance(await service.account(), Success)


@pytest.mark.parametrize("behave", HANGING)
async def test_a_server_that_never_comes_to_an_end_is_timed_out(
    serve: Serve, connect_to: ConnectTo, behave: Callable[[Any], Awaitable[None]]
) -> None:
    helios = await serve(behave)
    client = connect_to(helios.url, read_s=0.3, answer_s=0.5)
    async with client.connect() as service:
        answer = failure(await service.fetch(RUN_ID, "P07"))
        assert (answer.kind, answer.code) == (FailureKind.RETRY, "TIMED_OUT")
        assert answer.reason == "No complete answer came in time."
        helios.handle = give_account
        assert isinstance(await service.account(), Success)


async def test_an_upload_host_that_reads_nothing_is_timed_out(
    serve: Serve, connect_to: ConnectTo, body_of: BodyOf
) -> None:
    storage = await serve(ignore)
    client = connect_to(storage.url, write_s=0.3, read_s=0.3, upload_s=1.0)
    async with client.connect() as service:
        answer = failure(await service.upload(storage.url, body_of(bytes(20_000_000))))
    assert (answer.kind, answer.code) == (FailureKind.RETRY, "TIMED_OUT")


async def test_an_answer_without_end_is_read_up_to_the_limit_only(
    serve: Serve, connect_to: ConnectTo
) -> None:
    sent = 0

    async def flood(request: Any) -> None:
        nonlocal sent
        request.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2000000000\r\n\r\n")
        while True:
            request.writer.write(bytes(1_000_000))
            await request.writer.drain()
            sent += 1_000_000

    helios = await serve(flood)
    async with connect_to(helios.url).connect() as service:
        answer = failure(await service.fetch(RUN_ID, "P07"))
    assert answer.reason == "An answer came that could not be read: it is longer than 16 MB."
    assert sent < 40_000_000


async def test_an_early_refusal_of_an_upload_is_no_success(
    serve: Serve, connect_to: ConnectTo, body_of: BodyOf
) -> None:
    """The host answers and hangs up while the recording is still being sent."""

    async def refuse(request: Any) -> None:
        await request.answer(403, b"<Error><Code>AccessDenied</Code></Error>")
        request.writer.close()

    storage = await serve(refuse)
    async with connect_to(storage.url).connect() as service:
        answer = failure(await service.upload(storage.url, body_of(bytes(5_000_000))))
    assert answer.kind in {FailureKind.URL_EXPIRED, FailureKind.RETRY}


async def test_a_port_where_nobody_listens_is_unreachable(connect_to: ConnectTo) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    async with connect_to(f"http://127.0.0.1:{port}").connect() as service:
        answer = failure(await service.account())
    assert (answer.kind, answer.code) == (FailureKind.RETRY, "UNREACHABLE")
    assert answer.reason == "No connection could be made: Connection refused."


async def test_cancelled_requests_leave_healthy_ones_unharmed(
    serve: Serve, connect_to: ConnectTo
) -> None:
    async def slowly(request: Any) -> None:
        await asyncio.sleep(0.002)
        await request.answer(200, ACCOUNT)

    helios = await serve(slowly)
    client = connect_to(helios.url, parallel=Parallel(api_requests=5))
    async with client.connect() as service:
        for round_ in range(60):
            tasks = [asyncio.create_task(service.account()) for _ in range(10)]
            await asyncio.sleep(0.0005 * (round_ % 6))
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        answers = await asyncio.gather(*(service.account() for _ in range(20)))
    assert all(isinstance(answer, Success) for answer in answers)


async def test_a_cancelled_upload_closes_its_file_and_the_next_one_works(
    serve: Serve, connect_to: ConnectTo, body_of: BodyOf
) -> None:
    begun, ended = asyncio.Event(), []
    loop = asyncio.get_running_loop()

    def blocks() -> Iterator[bytes]:
        try:
            while True:
                yield bytes(65_536)
                loop.call_soon_threadsafe(begun.set)
        finally:
            ended.append(True)

    storage = await serve(take_upload)
    endless = UploadBody(10**9, "audio/wav", "0" * 64, blocks)
    async with connect_to(storage.url).connect() as service:
        task = asyncio.create_task(service.upload(storage.url, endless))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert isinstance(await service.upload(storage.url, body_of(b"sound")), Success)
    assert ended == [True]


# --- where the key must not go ------------------------------------------------------------------


async def test_a_redirect_is_not_followed(
    serve: Serve, connect_to: ConnectTo, request_: RunRequest, body_of: BodyOf
) -> None:
    elsewhere = await serve(give_account)

    async def redirect(request: Any) -> None:
        await request.read_body()
        await request.answer(307, Location=f"{elsewhere.url}/v1/account?token=s3cret")

    helios = await serve(redirect)
    async with connect_to(helios.url).connect() as service:
        answers = [
            await service.account(),
            await service.create(request_),
            await service.fetch(RUN_ID, "P07"),
            await service.upload(helios.url, body_of(b"sound")),
        ]
    assert {failure(answer).kind for answer in answers} == {FailureKind.NOT_HELIOS}
    assert elsewhere.seen == []
    assert failure(answers[0]).reason == "it redirects to http://127.0.0.1"


async def test_cookies_are_neither_kept_nor_sent(serve: Serve, connect_to: ConnectTo) -> None:
    async def with_cookie(request: Any) -> None:
        await request.answer(200, ACCOUNT, Set_Cookie="session=1; Path=/")

    helios = await serve(with_cookie)
    async with connect_to(helios.url).connect() as service:
        await service.account()
        await service.account()
    assert "cookie" not in helios.seen[1].headers


async def test_a_password_file_of_the_user_is_not_used(
    serve: Serve, connect_to: ConnectTo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password s3cret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    helios = await serve(give_account)
    async with connect_to(helios.url).connect() as service:
        await service.account()
    assert "authorization" not in helios.seen[0].headers


async def test_an_upload_url_that_is_not_safe_is_never_asked(
    serve: Serve, connect_to: ConnectTo, body_of: BodyOf
) -> None:
    storage = await serve(take_upload)
    async with connect_to("https://helios.invalid").connect() as service:
        answer = failure(await service.upload(storage.url + SIGNED, body_of(b"sound")))
    assert answer.kind is FailureKind.NOT_HELIOS
    assert answer.reason == "its upload URL is not https"
    assert storage.connections == 0


async def test_no_log_shows_the_key_or_the_signature(
    serve: Serve,
    connect_to: ConnectTo,
    body_of: BodyOf,
    key: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    helios, storage = await serve(give_account), await serve(take_upload)
    broken = await serve(reset)
    caplog.set_level(logging.DEBUG)
    async with connect_to(helios.url).connect() as service:
        await service.account()
        await service.upload(storage.url + SIGNED, body_of(b"sound"))
        await service.upload(broken.url + SIGNED, body_of(b"sound"))
    assert "PUT http://127.0.0.1" in caplog.text  # httpx does log; it just does not know
    assert key not in caplog.text
    assert "s3cret" not in caplog.text
    assert "/recordings/" not in caplog.text


async def test_a_key_that_a_server_repeats_is_taken_out_of_its_words(
    serve: Serve, connect_to: ConnectTo, request_: RunRequest, key: str
) -> None:
    async def blab(request: Any) -> None:
        await request.read_body()
        detail = [{"loc": ["body"], "msg": f"{key} is not allowed"}]
        said = f"no such key: {key}" if request.line.startswith("GET") else detail
        status = 401 if request.line.startswith("GET") else 422
        await request.answer(status, json.dumps({"detail": said}).encode())

    helios = await serve(blab)
    async with connect_to(helios.url).connect() as service:
        answers = [await service.account(), await service.create(request_)]
    assert key not in repr(answers)
    assert failure(answers[0]).reason == "Helios refuses the API key. It says: no such key: …"


def test_a_client_does_not_show_its_key(connect_to: ConnectTo, key: str) -> None:
    client = connect_to("https://helios.invalid")
    assert repr(client) == "Client(base_url='https://helios.invalid', api_key=…)"
    assert key not in repr(vars(client))


@pytest.mark.parametrize("act", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_client_is_not_written_anywhere(
    connect_to: ConnectTo, act: Callable[[Client], object]
) -> None:
    with pytest.raises(TypeError, match="holds an API key, so it is neither pickled nor copied"):
        act(connect_to("https://helios.invalid"))


def test_a_client_knows_the_region_and_opens_nothing(key: str) -> None:
    assert Client(key).base_url == BASE_URLS["default"]
    assert Client(key, region="ca").base_url == BASE_URLS["ca"]
    assert Client(key, base_url="https://lab.example/helios/").base_url == (
        "https://lab.example/helios"
    )


# --- encryption and proxies ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(make_certificate: Callable[..., Path]) -> Path:
    return make_certificate()


def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def test_a_server_that_cannot_prove_who_it_is_gets_nothing(
    serve: Serve, connect_to: ConnectTo, certificate: Path
) -> None:
    helios = await serve(give_account, tls=server_tls(certificate))
    async with connect_to(helios.url).connect() as service:
        answer = failure(await service.account())
    assert answer.kind is FailureKind.NETWORK
    assert answer.reason.startswith("127.0.0.1 does not prove who it is (self-signed certificate)")
    assert helios.seen == []


async def test_certificates_of_an_institution_are_taken_from_the_environment(
    serve: Serve, connect_to: ConnectTo, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    helios = await serve(give_account, tls=server_tls(certificate))
    async with connect_to(helios.url).connect() as service:
        assert isinstance(await service.account(), Success)


async def test_a_server_without_encryption_under_an_https_address_is_not_helios(
    connect_to: ConnectTo,
) -> None:
    asked: list[bytes] = []

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(4096))
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, connect_to(f"https://127.0.0.1:{port}").connect() as service:
        answer = failure(await service.account())
    assert answer.kind is FailureKind.NETWORK
    assert "does not prove who it is (it does not speak TLS)" in answer.reason
    assert b"HTTP" not in asked[0]


@pytest.fixture
async def behind_a_proxy(
    serve: Serve, make_certificate: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Any]:
    """Helios and its upload host, both with TLS and both only to be reached through a proxy."""
    certificate = make_certificate("helios.test", "uploads.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    async def answer(request: Any) -> None:
        await (take_upload if request.line.startswith("PUT") else give_account)(request)

    server = await serve(answer, tls=server_tls(certificate))
    port = int(server.url.rpartition(":")[2])
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1,::1,fd00::/8,[fe80::1],10.0.0.0/8")
    with ConnectProxy({"helios.test": port, "uploads.test": port}) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        yield SimpleNamespace(proxy=proxy, server=server, certificate=certificate)


async def test_a_proxy_passes_on_what_it_cannot_read(
    behind_a_proxy: Any, connect_to: ConnectTo, body_of: BodyOf, key: str
) -> None:
    async with connect_to("https://helios.test").connect() as service:
        assert isinstance(await service.account(), Success)
        assert isinstance(
            await service.upload(f"https://uploads.test{SIGNED}", body_of(b"s")), Success
        )
    heads = behind_a_proxy.proxy.heads
    assert [head.split("\r\n")[0] for head in heads] == [
        "CONNECT helios.test:443 HTTP/1.1",
        "CONNECT uploads.test:443 HTTP/1.1",
    ]
    assert key not in "".join(heads)
    assert behind_a_proxy.server.seen[0].headers["x-api-key"] == key
    assert behind_a_proxy.server.seen[1].line == f"PUT {SIGNED} HTTP/1.1"


async def test_a_proxy_gets_its_password_and_may_speak_tls_itself(
    behind_a_proxy: Any, connect_to: ConnectTo, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(behind_a_proxy.server.url.rpartition(":")[2])
    tls = server_tls(behind_a_proxy.certificate)
    with ConnectProxy({"helios.test": port}, tls=tls, credentials="ward 7:p@ss#1") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//ward%207:p@ss%231@"))
        async with connect_to("https://helios.test").connect() as service:
            assert isinstance(await service.account(), Success)
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        async with connect_to("https://helios.test").connect() as service:
            answer = failure(await service.account())
    place = proxy.url.removeprefix("https://")
    assert answer.kind is FailureKind.NETWORK
    assert answer.reason.startswith(
        f"The proxy {place} (HTTPS_PROXY) asks for a user name and a password (HTTP 407)"
    )


async def test_hosts_that_no_proxy_names_are_reached_past_the_proxy(
    behind_a_proxy: Any, connect_to: ConnectTo, body_of: BodyOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "uploads.test")
    async with connect_to("https://helios.test").connect() as service:
        assert isinstance(await service.account(), Success)
        answer = failure(await service.upload("https://uploads.test/x", body_of(b"sound")))
    assert len(behind_a_proxy.proxy.heads) == 1
    assert answer.reason.startswith("No connection could be made: ")  # there is no such host


async def test_a_proxy_that_opens_the_encryption_is_trusted_by_its_certificate_alone(
    behind_a_proxy: Any,
    connect_to: ConnectTo,
    make_certificate: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server's certificate stands for the one that such a proxy makes."""
    monkeypatch.setenv("SSL_CERT_FILE", str(make_certificate()))
    async with connect_to("https://helios.test").connect() as service:
        answer = failure(await service.account())
    assert answer.kind is FailureKind.NETWORK
    assert answer.reason == (
        "helios.test does not prove who it is (self-signed certificate), so nothing was sent to it. "
        "Where a proxy of your institution opens encrypted connections, set SSL_CERT_FILE to the "
        "file of its certificate; otherwise something else answers in its place, such as a login page."
    )
    assert behind_a_proxy.server.seen == []


async def test_a_proxy_written_with_the_wrong_scheme_is_said(
    behind_a_proxy: Any, connect_to: ConnectTo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", behind_a_proxy.proxy.url.replace("http:", "https:"))
    async with connect_to("https://helios.test").connect() as service:
        answer = failure(await service.account())
    assert answer.kind is FailureKind.NETWORK
    assert "it does not speak TLS: many proxies have to be written with http://" in answer.reason


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (403, FailureKind.NETWORK, "refuses to connect to helios.test (HTTP 403). Ask those who"),
        (502, FailureKind.RETRY, "could not connect to helios.test (HTTP 502)."),
    ],
)
async def test_a_proxys_refusal_is_told_from_its_bad_moment(
    behind_a_proxy: Any, connect_to: ConnectTo, status: int, kind: FailureKind, words: str
) -> None:
    behind_a_proxy.proxy.status = status
    async with connect_to("https://helios.test").connect() as service:
        answer = failure(await service.account())
    assert (answer.kind, answer.code) == (kind, "UNREACHABLE")
    assert words in answer.reason


async def test_a_proxy_that_is_gone_is_named(behind_a_proxy: Any, connect_to: ConnectTo) -> None:
    behind_a_proxy.proxy.shut()
    async with connect_to("https://helios.test").connect() as service:
        answer = failure(await service.account())
    place = behind_a_proxy.proxy.url.removeprefix("http://")
    assert (answer.kind, answer.code) == (FailureKind.RETRY, "UNREACHABLE")
    assert answer.reason == (
        f"No connection could be made through the proxy {place} (HTTPS_PROXY): Connection refused."
    )


async def test_no_proxy_stands_between_two_programs_on_this_machine(
    serve: Serve, connect_to: ConnectTo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    helios = await serve(give_account)
    async with connect_to(helios.url).connect() as service:
        assert isinstance(await service.account(), Success)


@pytest.mark.parametrize(
    ("name", "value"),
    [("HTTPS_PROXY", "http://me:s3cret@proxy:99999"), ("SSL_CERT_FILE", "/nowhere/ca.pem")],
)
async def test_network_settings_that_cannot_be_used_are_said_at_once(
    name: str, value: str, connect_to: ConnectTo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=name):
        async with connect_to("https://helios.invalid").connect():
            pass


# --- the sandbox: the whole contract ------------------------------------------------------------


@pytest.fixture
def recording(request: pytest.FixtureRequest) -> UploadBody:
    path = request.config.rootpath / "datasets/demo_cohort/recordings/P11_visit1.flac"
    found = fingerprint(str(path))
    return UploadBody(
        found.size_bytes, found.media_type, found.sha256, lambda: read_blocks(str(path))
    )


async def test_a_recording_is_scored_by_the_sandbox(
    request_: RunRequest, recording: UploadBody
) -> None:
    with ObservedSandbox(SandboxSettings(pickup_s=0.05, processing_s=0.1)) as sandbox:
        async with sandbox.client().connect() as service:
            account = await service.account()
            created = await service.create(request_)
            assert isinstance(created, Success)
            uploaded = await service.upload(created.value.recording_upload_url, recording)
            run = await service.fetch(created.value.id, "P07")
            while isinstance(run, Success) and not run.value.is_complete:
                await asyncio.sleep(0.05)
                run = await service.fetch(created.value.id, "P07")
        assert isinstance(account, Success)
        assert isinstance(uploaded, Success)
        assert isinstance(run, Success)
        assert run.value.status == "COMPLETE_OK"
        expected = sandbox.expected_scores(recording.sha256, "P07")
        assert expected.items() <= run.value.sections[0].flat().items()
        assert sandbox.log.violations == []


async def test_what_the_sandbox_refuses_is_understood(
    request_: RunRequest, recording: UploadBody
) -> None:
    odd = request_.model_copy(update={"language": "English"})
    with ObservedSandbox(SandboxSettings(url_lifetime_s=0.0)) as sandbox:
        stranger = Client("not-the-key", base_url=sandbox.base_url)
        async with sandbox.client().connect() as service, stranger.connect() as other:
            refused = failure(await other.account())
            rejected = failure(await service.create(odd))
            unknown = failure(await service.fetch(RUN_ID, "P07"))
            created = await service.create(request_)
            assert isinstance(created, Success)
            expired = failure(await service.upload(created.value.recording_upload_url, recording))
            sandbox.set_rate(0.5, burst=1)
            answers = [await service.account() for _ in range(4)]
    assert refused.kind is FailureKind.ACCOUNT
    assert rejected.kind is FailureKind.ROW
    assert rejected.reason.startswith("Helios did not accept language: ")
    assert unknown.kind is FailureKind.GONE
    assert expired.kind in {FailureKind.URL_EXPIRED, FailureKind.RETRY}  # it may hang up early
    limited = failure(answers[-1])
    assert limited.kind is FailureKind.RATE_LIMITED
    assert limited.retry_after_s is not None
