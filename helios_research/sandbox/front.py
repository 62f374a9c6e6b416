"""The outermost layer of both hosts: it notes every request, and lets faults strike."""

from collections.abc import Callable

from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from helios_research.sandbox.core import Core
from helios_research.sandbox.disturbance import Exchange
from helios_research.sandbox.faults import Step
from helios_research.sandbox.log import Request

CONTROL_PREFIX = "/_sandbox/"
CLIENT_CLOSED = 499  # as nginx logs it


def note_disconnect(request: HttpRequest, error: Exception) -> Response:  # noqa: ARG001 (Starlette passes both)
    """Answer a client that is gone, for the log alone."""
    return Response(status_code=CLIENT_CLOSED)


class Front:
    """Notes requests and disturbs them."""

    def __init__(
        self,
        app: ASGIApp,
        core: Core,
        *,
        host: str,
        step_of: Callable[[Scope], Step],
        elsewhere: Callable[[], str],
    ) -> None:
        self._app = app
        self._core = core
        self._host = host
        self._step_of = step_of
        self._elsewhere = elsewhere

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note a request, and let it pass or go wrong."""
        if scope["type"] != "http" or scope["path"].startswith(CONTROL_PREFIX):
            await self._app(scope, receive, send)
            return
        step = self._step_of(scope)
        note = Note(self._core, self._host, step, scope["path"])

        async def watched_send(message: Message) -> None:
            note.watch(message)
            await send(message)

        rule = note.rule
        if rule is None:
            await self._app(scope, receive, watched_send)
            return
        exchange = Exchange(
            app=self._app,
            scope=scope,
            receive=receive,
            send=watched_send,
            step=step,
            pause=self._core.pause,
            elsewhere=self._elsewhere(),
            dropping=note.close,
        )
        await exchange.disturb(rule)


class Note:
    """The entry of one request in the log.

    It is written just before the last of the answer goes out, so that whoever has the answer finds
    the request in the log.
    """

    def __init__(self, core: Core, host: str, step: Step, path: str) -> None:
        self._log = core.log
        self._host = host
        self._step = step
        self._path = path
        self._at = core.log.began(host)
        self._status: int | None = None
        self.rule = core.plan.strike(step)

    def watch(self, message: Message) -> None:
        """See a part of the answer go out."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
        elif not message.get("more_body"):
            self.close(self._status)

    def close(self, status: int | None = None) -> None:
        """Write the entry."""
        fault = None if self.rule is None else self.rule.fault
        self._log.ended(self._host, Request(self._at, self._step, status, fault, self._path))
