"""The outermost layer of both hosts: it notes every request, and lets faults strike."""

from collections.abc import Callable

from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from helios_research.sandbox.core import Core
from helios_research.sandbox.disturbance import Exchange
from helios_research.sandbox.events import Request
from helios_research.sandbox.faults import Step

CONTROL_PREFIX = "/_sandbox/"
CLIENT_CLOSED = 499  # as nginx logs it


def note_disconnect(request: HttpRequest, error: Exception) -> Response:  # noqa: ARG001 (Starlette passes both)
    """Answer a client that is gone, for the log alone.

    Parameters
    ----------
    request
        The request.
    error
        Starlette's ``ClientDisconnect``.

    Returns
    -------
    Response
        Reaches nobody.
    """
    return Response(status_code=CLIENT_CLOSED)


class Front:
    """Notes requests and disturbs them.

    Parameters
    ----------
    app
        What is behind it.
    core
        The sandbox's shared parts.
    host
        ``api`` or ``upload``.
    step_of
        Tells the kind of a request.
    elsewhere
        Tells the origin that redirects lead to.
    """

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
        """Note a request, and let it pass or go wrong.

        Parameters
        ----------
        scope, receive, send
            As ASGI defines them.
        """
        if scope["type"] != "http" or scope["path"].startswith(CONTROL_PREFIX):
            await self._app(scope, receive, send)
            return
        step = self._step_of(scope)
        status: int | None = None
        complete = False

        async def watched_send(message: Message) -> None:
            nonlocal status, complete
            status = message.get("status", status)
            complete = message["type"] == "http.response.body" and not message.get("more_body")
            await send(message)

        at = self._core.log.began(self._host)
        rule = self._core.plan.strike(step)
        try:
            if rule is None:
                await self._app(scope, receive, watched_send)
            else:
                exchange = Exchange(
                    app=self._app,
                    scope=scope,
                    receive=receive,
                    send=watched_send,
                    step=step,
                    pause=self._core.pause,
                    elsewhere=self._elsewhere(),
                )
                await exchange.disturb(rule)
        finally:
            fault = None if rule is None else rule.fault
            self._core.log.ended(self._host, Request(at, step, status if complete else None, fault))
