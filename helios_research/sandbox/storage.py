"""Upload URLs that carry their own permission, as object storage's pre-signed URLs do."""

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self
from xml.sax.saxutils import escape

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from helios_research.sandbox.core import Analyst, Core
from helios_research.sandbox.faults import Step
from helios_research.sandbox.front import Front, note_disconnect
from helios_research.sandbox.log import Put


def make_storage(core: Core, analyst: Analyst, folder: Path) -> ASGIApp:
    """Put the upload host together."""
    storage = Storage(core, analyst, folder)
    routes = [Route("/recordings/{run_id}", storage.put, methods=["PUT"])]
    app = Starlette(routes=routes, exception_handlers={ClientDisconnect: note_disconnect})
    return Front(
        KeyGuard(app, core),
        core,
        host="upload",
        step_of=step_of,
        elsewhere=lambda: core.api_url,
    )


def step_of(scope: Scope) -> Step:
    """Tell what kind a request to the upload host is."""
    return Step.UPLOAD if scope["method"] == "PUT" else Step.OTHER


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal, as S3 words it."""

    status: int
    code: str
    message: str

    def response(self) -> Response:
        """Word the refusal."""
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{self.code}</Code><Message>{escape(self.message)}</Message></Error>"
        )
        return Response(body, self.status, media_type="application/xml")


class KeyGuard:
    """Refuses whatever carries an API key: this host is not the API."""

    def __init__(self, app: ASGIApp, core: Core) -> None:
        self._app = app
        self._core = core

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in or refuse it."""
        answer = self._app
        if scope["type"] == "http" and "x-api-key" in Headers(scope=scope):
            run_id = scope["path"].removeprefix("/recordings/")
            self._core.log.violated("API key sent to the upload host", run_id)
            refused = Refused(400, "InvalidArgument", "Unsupported header x-api-key")
            answer = refused.response()
        await answer(scope, receive, send)


class Incoming:
    """A file that is being received; deleted again unless it is kept."""

    def __init__(self, folder: Path) -> None:
        # Blocks of 64 kB go to the page cache in less time than a hop to another thread takes.
        self._file = tempfile.NamedTemporaryFile(dir=folder, delete=False)  # noqa: SIM115 (closed in __exit__)
        self._digest = hashlib.sha256()
        self._kept = False
        self.path = Path(self._file.name)
        self.size_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()
        if not self._kept:
            self.path.unlink()

    @property
    def sha256(self) -> str:
        """The hash of what has arrived."""
        return self._digest.hexdigest()

    def write(self, block: bytes) -> None:
        """Take a block."""
        self._file.write(block)
        self._digest.update(block)
        self.size_bytes += len(block)

    def keep(self) -> Path:
        """Leave the file to somebody else."""
        self._file.flush()
        self._kept = True
        return self.path


class Storage:
    """What answers an upload."""

    def __init__(self, core: Core, analyst: Analyst, folder: Path) -> None:
        self._core = core
        self._analyst = analyst
        self._folder = folder

    async def put(self, request: Request) -> Response:
        """Take an upload."""
        await self._core.pause(self._core.settings.latency_s)
        run_id = request.path_params["run_id"]
        refused = self._refusal(request, run_id)
        if refused is not None:
            return refused.response()
        with Incoming(self._folder) as incoming:
            async for block in request.stream():
                incoming.write(block)
            self._settle(run_id, incoming, request.headers)
            return Response(headers={"etag": f'"{incoming.sha256[:32]}"'})

    def _settle(self, run_id: str, incoming: Incoming, headers: Mapping[str, str]) -> None:
        core = self._core
        run = core.book.find(run_id)
        status = "DELETED" if run is None else core.book.status(run)
        taken = run is not None and core.book.receive(run, incoming.sha256, core.draw_fate)
        if taken:
            self._analyst.submit(incoming.keep(), incoming.sha256)
        elif run is None or run.sha256 != incoming.sha256:
            # The same bytes again are no fault of the client's: between its asking whether the
            # first upload arrived and the second, the run may have been picked up.
            core.log.violated(f"other bytes put while the run was {status}", run_id)
        put = Put(
            at=datetime.fromtimestamp(core.clock(), UTC),
            sha256=incoming.sha256,
            size_bytes=incoming.size_bytes,
            media_type=headers.get("content-type", ""),
            run_status=str(status),
            taken=taken,
        )
        core.log.put(run_id, put)

    def _refusal(self, request: Request, run_id: str) -> Refused | None:
        denied = self._core.signer.refusal(
            request.url.path, request.query_params, self._core.clock()
        )
        if denied is not None:
            code = "AccessDenied" if denied is denied.EXPIRED else "SignatureDoesNotMatch"
            return Refused(403, code, denied)
        return self._unfit_length(request.headers, run_id)

    def _unfit_length(self, headers: Mapping[str, str], run_id: str) -> Refused | None:
        if "transfer-encoding" in headers:
            self._core.log.violated("chunked upload", run_id)
            message = "A header you provided implies functionality that is not implemented"
            return Refused(501, "NotImplemented", message)
        if "content-length" not in headers:
            self._core.log.violated("upload without Content-Length", run_id)
            message = "You must provide the Content-Length HTTP header."
            return Refused(411, "MissingContentLength", message)
        if int(headers["content-length"]) > self._core.settings.max_upload_bytes:
            message = "Your proposed upload exceeds the maximum allowed size"
            return Refused(400, "EntityTooLarge", message)
        return None
