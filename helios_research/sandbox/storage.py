"""The upload host: takes what a pre-signed URL or an activity permits, and has the audio examined."""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path
from tempfile import NamedTemporaryFile
from xml.sax.saxutils import escape

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from helios_research.errors import RecordingUnavailableError
from helios_research.recording import AudioFacts
from helios_research.sandbox.core import (
    Assessment,
    Core,
    RecordingReceived,
    UrlRefusal,
    note_disconnect,
)

logger = logging.getLogger(__name__)

_ACTIVITY = (files("helios_research.sandbox") / "activity.html").read_text(encoding="utf-8")

Examine = Callable[[str], AudioFacts]


def make_storage(core: Core, examine: Examine, executor: Executor, folder: Path) -> ASGIApp:
    """Put the upload host together; files are in the folder until they are examined."""
    storage = Storage(core, Examiner(core, examine, executor), folder)
    routes = [
        Route("/recordings/{run_id}", storage.put, methods=["PUT"]),
        Route("/activity/{run_id}", storage.take_part, methods=["GET", "PUT"]),
    ]
    app = Starlette(routes=routes, exception_handlers={ClientDisconnect: note_disconnect})
    return core.wrap(_without_key(app, core), "upload")


class Examiner:
    """Examines audio away from the event loop, each content once."""

    def __init__(self, core: Core, examine: Examine, executor: Executor) -> None:
        self._core = core
        self._examine = examine
        self._executor = executor
        self._known: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, path: Path, sha256: str) -> None:
        """Examine a file, and delete it afterwards."""
        if sha256 in self._known:
            path.unlink()
            return
        self._known.add(sha256)
        task = asyncio.create_task(self._work(path, sha256))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, path: Path, sha256: str) -> None:
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._executor, self._examine, str(path))
        (found,) = await asyncio.gather(future, return_exceptions=True)
        path.unlink()  # noqa: ASYNC240 (shorter than a hop to another thread)
        if isinstance(found, RecordingUnavailableError):
            reason = "Unsupported recording: it holds no audio"
            assessment = Assessment("ERR_RECORDING_INVALID_FORMAT", reason)
        elif isinstance(found, BaseException):
            logger.error("The sandbox could not examine %s", path, exc_info=found)
            reason = f"The sandbox could not examine the recording: {found!r}"
            assessment = Assessment("ERR_INTERNAL", reason)
        else:
            assessment = assess(found, self._core.settings.least_speech_s)
        self._core.runs.assessed(sha256, assessment)


def _refusal(status: int, code: str, message: str) -> Response:
    """Refuse an upload in the form and words of S3."""
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    )
    return Response(body, status, media_type="application/xml")


def _without_key(app: ASGIApp, core: Core) -> ASGIApp:
    """Refuse every request with an API key: this host is not the API."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        wanted: ASGIApp = app
        if "x-api-key" in Headers(scope=scope):
            run_id = scope["path"].removeprefix("/recordings/")
            core.violated("API key sent to the upload host", run_id)
            wanted = _refusal(400, "InvalidArgument", "Unsupported header x-api-key")
        await wanted(scope, receive, send)

    return answer


class Storage:
    """Answers uploads."""

    def __init__(self, core: Core, examiner: Examiner, folder: Path) -> None:
        self._core = core
        self._examiner = examiner
        self._folder = folder

    async def put(self, request: Request) -> Response:
        """Take an upload."""
        await self._core.pause(self._core.settings.latency_s)
        run_id = request.path_params["run_id"]
        refusal = self._url_refusal(request) or self._length_refusal(request.headers, run_id)
        if refusal is not None:
            return refusal
        # Blocks of 64 kB go to the page cache in less time than a hop to another thread takes.
        file = NamedTemporaryFile(dir=self._folder, delete=False)  # noqa: SIM115 (closed below)
        path, digest, size_bytes = Path(file.name), hashlib.sha256(), 0
        with ExitStack() as undo:
            undo.callback(path.unlink)
            with file:
                async for block in request.stream():
                    file.write(block)
                    digest.update(block)
                    size_bytes += len(block)
            media_type = request.headers.get("content-type", "")
            taken = self._received(run_id, digest.hexdigest(), size_bytes, media_type)
            if taken:
                undo.pop_all()
                self._examiner.submit(path, digest.hexdigest())
        return Response(headers={"etag": f'"{digest.hexdigest()[:32]}"'})

    async def take_part(self, request: Request) -> Response:
        """Show the activity to a participant, and take the recording that is made in it."""
        if self._url_refusal(request) is not None:
            return HTMLResponse(_ACTIVITY.replace("STATE", "invalid"), 403)
        run = self._core.runs.find(request.path_params["run_id"])
        if run is None or run.sha256:
            return HTMLResponse(_ACTIVITY.replace("STATE", "over"), 410)
        if request.method == "PUT":
            return await self.put(request)
        return HTMLResponse(_ACTIVITY.replace("STATE", "open"))

    def _received(self, run_id: str, sha256: str, size_bytes: int, media_type: str) -> bool:
        """Note an upload whose bytes all arrived, and say whether its run takes them."""
        core = self._core
        run = core.runs.find(run_id)
        state = "DELETED" if run is None else core.runs.state(run)
        taken = run is not None and core.runs.receive(run, sha256)
        # The same bytes again are no fault of the client's: between its asking whether the first
        # upload arrived and the second, the run may have been picked up.
        if not taken and (run is None or run.sha256 != sha256):
            core.violated(f"other bytes put while the run was {state}", run_id)
        facts = (run_id, sha256, size_bytes, media_type, str(state), taken)
        core.note(RecordingReceived(core.now(), *facts))
        return taken

    def _url_refusal(self, request: Request) -> Response | None:
        now = self._core.clock()
        denied = self._core.signer.refusal(request.url.path, request.query_params, now)
        if denied is None:
            return None
        code = "AccessDenied" if denied is UrlRefusal.EXPIRED else "SignatureDoesNotMatch"
        return _refusal(403, code, denied)

    def _length_refusal(self, headers: Mapping[str, str], run_id: str) -> Response | None:
        if "transfer-encoding" in headers:
            self._core.violated("chunked upload", run_id)
            words = "A header you provided implies functionality that is not implemented"
            return _refusal(501, "NotImplemented", words)
        if "content-length" not in headers:
            self._core.violated("upload without Content-Length", run_id)
            words = "You must provide the Content-Length HTTP header."
            return _refusal(411, "MissingContentLength", words)
        if int(headers["content-length"]) > self._core.settings.max_upload_bytes:
            words = "Your proposed upload exceeds the maximum allowed size"
            return _refusal(400, "EntityTooLarge", words)
        return None


LONGEST_S = 180.0
# Below this a detector's find is noise rather than a word: it found 0 s in 19 files of noise and
# tones, and 0.4 s in 18 minutes of music.
NO_SPEECH_S = 0.4
SCARCE_SPEECH_S = 11.0
NEARLY_TOO_LONG_S = 179.75
QUIET_DBFS = -45.0
CLIPPED_FRACTION = 0.01
LOW_SAMPLE_RATE_HZ = 16_000
NOISY_DISTANCE_DB = 10.0


def assess(facts: AudioFacts, least_speech_s: float = 10.0) -> Assessment:
    """Decide about audio; the first rule that matches wins."""
    duration_s, speech_s = facts.duration_s or 0.0, facts.speech_s or 0.0
    if facts.problem is not None:
        code, reason = "RECORDING_INVALID_FORMAT", f"Unsupported recording: {facts.problem}"
    elif duration_s > LONGEST_S:
        code = "RECORDING_TOO_LONG"
        reason = f"The recording lasts {duration_s:.1f} s; at most {LONGEST_S:.0f} s are allowed."
    elif speech_s < NO_SPEECH_S:
        code, reason = "TRANSCRIPTION_FAILED", "No speech was found in the recording."
    elif speech_s < least_speech_s:
        code = "RECORDING_TOO_SHORT"
        reason = f"Only {speech_s:.1f} s of speech; at least {least_speech_s:g} s are needed."
    else:
        return Assessment(warnings=_warnings(facts), duration_s=duration_s)
    return Assessment(f"ERR_{code}", reason, duration_s=duration_s)


def _warnings(facts: AudioFacts) -> tuple[str, ...]:
    level, noise = facts.level_dbfs, facts.noise_floor_dbfs
    noisy = level is not None and noise is not None and level - noise < NOISY_DISTANCE_DB
    warnings = {
        "Little speech: scores may be unreliable.": (
            facts.speech_counted_to_end is not False and (facts.speech_s or 0.0) < SCARCE_SPEECH_S
        ),
        "The recording is close to the longest that is allowed.": (
            (facts.duration_s or 0.0) >= NEARLY_TOO_LONG_S
        ),
        "The recording is very quiet.": level is not None and level < QUIET_DBFS,
        "The recording is clipped.": (facts.clipped_fraction or 0.0) > CLIPPED_FRACTION,
        "The recording is noisy.": noisy,
        "The sample rate is low.": (facts.sample_rate_hz or 0) < LOW_SAMPLE_RATE_HZ,
    }
    return tuple(words for words, applies in warnings.items() if applies)
