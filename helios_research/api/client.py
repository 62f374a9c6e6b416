"""The client: the only module that speaks HTTP.

There are two origins. The API gets the key; the upload host gets recordings and nothing
else. Redirects are never followed, cookies never kept, and no URL with a signature in it reaches
a log.
"""

import asyncio
import socket
import ssl
import sys
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import NoReturn, TypeVar, cast
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from helios_research._version import __version__
from helios_research.api import protocol
from helios_research.api.models import Account, CreatedRun, InvitedRun, ModelRun, RunRequest
from helios_research.api.protocol import ApiRequest
from helios_research.api.transport import (
    FALLBACK_MEDIA_TYPE,
    MAX_RESPONSE_BYTES,
    ClientPool,
    Failure,
    RecordingChangedError,
    Response,
    Result,
    Success,
    UploadBody,
    unpacker,
)
from helios_research.config import (
    ConnectionSettings,
    TimeOuts,
    resolve_connection,
    warn_of_key_in_code,
)
from helios_research.network import (
    Proxy,
    Route,
    distrust,
    is_loopback,
    system_words,
    trusted_certificates,
)

T = TypeVar("T")

_USER_AGENT = f"helios-research/{__version__}"

KEEP_ALIVE_S = 20.0  # load balancers close idle connections after a minute or so
_MAX_UPLOAD_RESPONSE_BYTES = 64 * 1024  # only looked at for its error code
# A system may take megabytes at once that a slow line needs minutes for, and then nothing shows
# whether they move. So little still fills a line of 5 MB/s, with eight uploads over 100 ms.
_SEND_BUFFER_BYTES = 64 * 1024
_PIECE_BYTES = 16 * 1024


class Client:
    """Where Helios is and the key for it; opens no connection by itself.

    Parameters
    ----------
    api_key
        The key, which should come from a variable; without it the environment variable
        ``THYMIA_API_KEY``, the system's keyring, or the person at the terminal or notebook (see `config`).
    region
        ``default``, ``ca`` or ``us``; without it ``THYMIA_REGION``.
    base_url
        Another origin, which wins over the region; without it ``THYMIA_BASE_URL``.

    Raises
    ------
    ConfigError
        No key, an unknown region, or a base URL that is not safe.
    """

    def __init__(
        self,
        api_key: str | SecretStr | None = None,
        *,
        region: str | None = None,
        base_url: str | None = None,
    ) -> None:
        is_given = api_key is not None
        # A traceback that shows local variables must not show this one.
        api_key = SecretStr(api_key) if isinstance(api_key, str) else api_key
        self._connection = resolve_connection(api_key, region=region, base_url=base_url)
        # A sandbox on this machine has no key that is worth hiding.
        if is_given and not is_loopback(urlsplit(self.base_url).hostname):
            warn_of_key_in_code(sys._getframe(1))

    @property
    def base_url(self) -> str:
        """Origin of the API, without a trailing slash."""
        return self._connection.base_url

    @asynccontextmanager
    async def connect(self) -> AsyncIterator["Service"]:
        """Open the service for as long as the block lasts.

        Yields
        ------
        Service
            Makes requests, on the event loop that this was called on.

        Raises
        ------
        ConfigError
            The environment names a proxy or certificates that cannot be used.
        """
        service = Service(self._connection)
        try:
            yield service
        finally:
            await service.aclose()

    def __repr__(self) -> str:
        # A verbose traceback also shows a client whose settings were refused.
        known = hasattr(self, "_connection")
        return f"Client(base_url={self.base_url!r}, api_key=…)" if known else "Client(…)"

    def __reduce__(self) -> NoReturn:
        # Pickles end up in caches, notebooks' checkpoints and on other machines' disks.
        raise TypeError(
            "A Client holds an API key, so it is neither pickled nor copied: make one where it is "
            "needed, with hr.Client(), which reads THYMIA_API_KEY there."
        )


class _Key(httpx.Auth):
    """Adds the key to a request at the last moment, and only where it belongs."""

    def __init__(self, key: SecretStr, base_url: str) -> None:
        self._key = key
        self._origin = _origin(httpx.URL(base_url))

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if _origin(request.url) == self._origin:
            request.headers[protocol.KEY_HEADER] = self._key.get_secret_value()
        yield request


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


class Service:
    """Helios, while connected. Each method makes one attempt and returns what came of it.

    No method raises for anything that a server or the network does. Cancelling a call is safe:
    its connection is closed and no other is concerned.
    """

    def __init__(self, connection: ConnectionSettings) -> None:
        self._connection = connection
        self._readers = ThreadPoolExecutor(connection.parallel.uploads, "helios-upload")
        # The upload host has the scheme of the API.
        self._route = Route.of_environment(urlsplit(connection.base_url).scheme)
        make = partial(self._http, trusted_certificates())
        limits = connection.parallel
        self._api = ClientPool(partial(make, with_key=True), limits.api_requests)
        self._storage = ClientPool(partial(make, with_key=False), limits.uploads)

    async def account(self) -> Result[Account]:
        """Ask which account the key belongs to."""
        return await self._ask(protocol.account_request(), protocol.read_account)

    async def create(self, request: RunRequest, *, delete_data: bool = False) -> Result[CreatedRun]:
        """Create a model run; nothing is processed until its recording is uploaded."""
        read = partial(protocol.read_created, request=request, base_url=self._connection.base_url)
        return await self._ask(protocol.create_request(request, delete_data=delete_data), read)

    async def invite(self, request: RunRequest, *, delete_data: bool = False) -> Result[InvitedRun]:
        """Create a model run whose recording the participant makes, behind the link that it has."""
        read = partial(protocol.read_invited, request=request, base_url=self._connection.base_url)
        path = protocol.ACTIVITY_PATH
        call = protocol.create_request(request, delete_data=delete_data, path=path)
        return await self._ask(call, read)

    async def fetch(self, run_id: str, user_label: str) -> Result[ModelRun]:
        """Ask how things stand with a model run of a participant."""
        read = partial(protocol.read_run, run_id=run_id, user_label=user_label)
        return await self._ask(protocol.fetch_request(run_id), read)

    async def upload(self, url: str, body: UploadBody) -> Result[None]:
        """Upload a recording, from disk and in constant memory."""
        refused = protocol.refused_upload_url(url, self._connection.base_url)
        if refused is not None:
            return refused
        waits = self._connection.time_outs
        stream = _UploadStream(body, self._readers, waits)
        try:
            response = await self._exchange(
                self._storage,
                _upload_request(url, body, stream),
                waits.upload_s + body.size_bytes / waits.least_bytes_per_s,
                _MAX_UPLOAD_RESPONSE_BYTES,
            )
        except RecordingChangedError as changed:
            return changed.failure
        finally:
            stream.close()
        if isinstance(response, Failure):
            return response
        return protocol.read_upload(response)

    async def aclose(self) -> None:
        """Close all connections; what is still in flight closes its own when it ends."""
        await self._api.aclose()
        await self._storage.aclose()
        self._readers.shutdown(wait=False, cancel_futures=True)

    async def _ask(self, call: ApiRequest, read: Callable[[Response], Result[T]]) -> Result[T]:
        url = f"{self._connection.base_url}{call.path}"
        headers = call.headers | {"User-Agent": _USER_AGENT}
        request = httpx.Request(call.method, url, headers=headers, content=call.content)
        deadline_s = self._connection.time_outs.answer_s
        response = await self._exchange(self._api, request, deadline_s, MAX_RESPONSE_BYTES)
        result = response if isinstance(response, Failure) else read(response)
        if isinstance(result, Success):
            return result
        # A server's own words may repeat the key.
        key = self._connection.api_key.get_secret_value()
        return replace(result, reason=result.reason.replace(key, "…"))

    async def _exchange(
        self,
        pool: ClientPool[httpx.AsyncClient],
        request: httpx.Request,
        deadline_s: float,
        max_bytes: int,
    ) -> Response | Failure:
        try:
            async with pool.lend() as client, asyncio.timeout(deadline_s):
                response = await client.send(request, stream=True)
                try:
                    return await _read(response, max_bytes)
                finally:
                    await response.aclose()
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as problem:
            return _unanswered(problem, request.url.host, self._route.proxy_to(str(request.url)))

    def _http(self, certificates: ssl.SSLContext, *, with_key: bool) -> httpx.AsyncClient:
        waits = self._connection.time_outs
        # An upload has to leave this computer after its last byte was taken, too.
        read_s, write_s = (waits.read_s, waits.write_s) if with_key else (waits.upload_s,) * 2
        return httpx.AsyncClient(
            auth=_Key(self._connection.api_key, self._connection.base_url) if with_key else None,
            transport=_RoutedTransport(self._route, certificates),
            trust_env=False,
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            timeout=httpx.Timeout(connect=waits.connect_s, read=read_s, write=write_s, pool=None),
        )


class _RoutedTransport(httpx.AsyncBaseTransport):
    """Sends each request through the environment's proxy, or past it, over one connection each."""

    def __init__(self, route: Route, certificates: ssl.SSLContext) -> None:
        self._route = route
        make = partial(
            httpx.AsyncHTTPTransport,
            verify=certificates,
            trust_env=False,
            limits=httpx.Limits(max_connections=1, keepalive_expiry=KEEP_ALIVE_S),
            socket_options=[(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)],
        )
        self._direct = make()
        self._by_proxy = self._direct
        if route.proxy is not None:
            url = route.proxy.url
            own = certificates if url.startswith("https:") else None
            proxy = httpx.Proxy(url, headers=route.proxy.headers, ssl_context=own)
            self._by_proxy = make(proxy=proxy)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        proxy = self._route.proxy_to(str(request.url))
        transport = self._direct if proxy is None else self._by_proxy
        return await transport.handle_async_request(request)

    async def aclose(self) -> None:
        await self._direct.aclose()
        await self._by_proxy.aclose()


class _UploadStream(httpx.AsyncByteStream):
    """One attempt at sending a recording; its blocks are read and hashed in a thread."""

    def __init__(self, body: UploadBody, readers: ThreadPoolExecutor, waits: TimeOuts) -> None:
        self._blocks: Generator[bytes, None, None] = body.checked_blocks()
        self._readers = readers
        self._waits = waits
        self._take = body.take

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give out piece after piece, and give up where they are taken too slowly for long."""
        loop = asyncio.get_running_loop()
        due_s = loop.time() + self._waits.upload_s
        while block := await loop.run_in_executor(self._readers, next, self._blocks, b""):
            for start in range(0, len(block), _PIECE_BYTES):
                piece = block[start : start + _PIECE_BYTES]
                yield piece
                self._take(len(piece))
                due_s += len(piece) / self._waits.least_bytes_per_s
                due_s = min(due_s, loop.time() + self._waits.upload_s)
                if loop.time() > due_s:
                    raise httpx.WriteTimeout("the upload crawls")

    def close(self) -> None:
        # A thread that is still reading makes this a ValueError; the file then closes as soon as
        # that block is read, since nothing refers to the generator any more.
        with suppress(ValueError):
            self._blocks.close()


def _upload_request(url: str, body: UploadBody, stream: _UploadStream) -> httpx.Request:
    address = _UploadURL(url)
    headers = {
        "Host": address.netloc.decode(),
        "Content-Length": str(body.size_bytes),
        "Content-Type": body.media_type or FALLBACK_MEDIA_TYPE,
        "User-Agent": _USER_AGENT,
    }
    request = httpx.Request("PUT", "", headers=headers, stream=stream)
    # Given to the constructor, it would be copied as a plain URL.
    request.url = address
    return request


class _UploadURL(httpx.URL):
    """An upload URL of which only the origin is shown, and whose path is sent letter by letter.

    httpx logs a request's URL, and would rewrite characters that the signature was made over. (Its
    extension ``target`` would also show the signature to a proxy, as the target of CONNECT.)
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        super().__init__(f"{parts.scheme}://{parts.netloc}/")
        query = f"?{parts.query}" if parts.query else ""
        self._target = f"{parts.path or '/'}{query}".encode()

    @property
    def raw_path(self) -> bytes:
        return self._target


async def _read(response: httpx.Response, max_bytes: int) -> Response:
    unpack, body = unpacker(response.headers.get("content-encoding", "")), bytearray()
    # httpx declares an iterator; it is a generator, and left half-read it must be closed here.
    chunks = cast("AsyncGenerator[bytes, None]", response.aiter_raw())
    async with aclosing(chunks):
        async for chunk in chunks:
            try:
                body += unpack(chunk, max_bytes + 1 - len(body))
            except zlib.error as problem:
                raise httpx.DecodingError(str(problem)) from problem
            if len(body) > max_bytes:
                break
    whole = len(body) <= max_bytes
    headers, kept = dict(response.headers), bytes(body[:max_bytes])
    return Response(response.status_code, headers, kept, is_whole=whole)


def _unanswered(problem: Exception, host: str, proxy: Proxy | None) -> Failure:
    doubt = distrust(problem)
    if doubt is not None:
        return protocol.untrusted(host, doubt, proxy)
    if isinstance(problem, httpx.ConnectTimeout):
        return protocol.unanswered(protocol.NO_CONNECTION, "it took too long", proxy)
    if isinstance(problem, TimeoutError | httpx.TimeoutException):
        return protocol.unanswered(protocol.NO_ANSWER)
    # A proxy that refuses says so with its status, which httpx puts first in its words.
    if proxy is not None and isinstance(problem, httpx.ProxyError) and str(problem)[:3].isdecimal():
        return protocol.unanswered_by_proxy(proxy, host, int(str(problem)[:3]))
    if isinstance(problem, httpx.ConnectError | httpx.ProxyError):
        return protocol.unanswered(protocol.NO_CONNECTION, system_words(problem), proxy)
    return protocol.unanswered(protocol.BROKEN_OFF, system_words(problem))
