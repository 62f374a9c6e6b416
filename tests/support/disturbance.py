"""Carrying out a fault on one HTTP request."""

import json
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from helios_research.sandbox.app import RUNS_PATH
from support.faults import NEEDS_ANSWER, Fault, Rule, Step
from support.request_log import LoggedRequest

if TYPE_CHECKING:
    from support.sandbox import ObservedCore

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_JSON = {"content-type": "application/json"}
_LOGIN_PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Sign in</body></html>"


def step_of(scope: Scope, host: str) -> Step:
    """Find out what kind a request is."""
    method, path = scope["method"], scope["path"]
    if host == "upload":
        return Step.UPLOAD if method == "PUT" else Step.OTHER
    match method, path.removeprefix(RUNS_PATH):
        case "GET", "/v1/account":
            return Step.ACCOUNT
        case "POST", "" | "-activity":
            return Step.CREATE
        case "GET", rest if rest.startswith("/") and rest != path:
            return Step.POLL
    return Step.OTHER


class FaultMiddleware:
    """The outermost layer of a host: it counts every request, and lets faults strike.

    A request is logged just before the last of its answer goes out, so that a test that has the
    answer finds the request in the log.
    """

    def __init__(self, app: ASGIApp, core: "ObservedCore", host: Literal["api", "upload"]) -> None:
        self._app = app
        self._core = core
        self._host = host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count a request, and let it pass or go wrong."""
        core, host, step = self._core, self._host, step_of(scope, self._host)
        at, status = core.now(), None
        core.log.began(host)
        rule = core.plan.strike(step)
        fault = None if rule is None else rule.fault

        def close(status: int | None = None) -> None:
            core.log.ended(host, LoggedRequest(at, step, status, fault, scope["path"]))

        async def watched_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif not message.get("more_body"):
                close(status)
                if rule is None and status == 200:
                    core.last_bodies[step] = message["body"]
            await send(message)

        if rule is None:
            await self._app(scope, receive, watched_send)
            return
        exchange = Exchange(
            app=self._app,
            scope=scope,
            receive=receive,
            send=watched_send,
            step=step,
            pause=core.pause,
            last_body=core.last_bodies.get(step),
            elsewhere=core.upload_url if host == "api" else core.api_url,
            dropping=close,
        )
        await exchange.disturb(rule)


@dataclass(slots=True)
class Answer:
    """An answer held back before it is sent."""

    messages: list[Message] = field(default_factory=list)

    @property
    def body(self) -> bytes:
        """The body."""
        return b"".join(message.get("body", b"") for message in self.messages)

    async def hold(self, message: Message) -> None:
        """Take the place of ASGI's send."""
        self.messages.append(message)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and the means to do something about it."""

    app: ASGIApp
    scope: Scope
    receive: Receive
    send: Send
    step: Step
    pause: Callable[[float], Awaitable[None]]
    last_body: bytes | None
    elsewhere: str
    dropping: Callable[[], None]

    async def disturb(self, rule: Rule) -> None:
        """Let one thing go wrong."""
        is_first = rule.fault is Fault.REPEAT and self.last_body is None
        if is_first or (rule.fault is Fault.SLOW and not rule.after_work):
            await self.pause(0.0 if is_first else rule.delay_s)
            await self.app(self.scope, self.receive, self.send)
            return
        answer = Answer()
        if rule.after_work or rule.fault in NEEDS_ANSWER:
            await self.app(self.scope, self.receive, answer.hold)
        await self._spoil(rule, answer)

    async def _spoil(self, rule: Rule, answer: Answer) -> None:
        match rule.fault:
            case Fault.RESET | Fault.CLOSE:
                await self._drop(reset=rule.fault is Fault.RESET)
            case Fault.CUT:
                await self._send_half_and_drop(answer)
            case Fault.SLOW:
                await self.pause(rule.delay_s)
                for message in answer.messages:
                    await self.send(message)
            case _:
                await self._answer_wrongly(rule, answer)

    async def _answer_wrongly(self, rule: Rule, answer: Answer) -> None:
        match rule.fault:
            case Fault.HALF_JSON:
                half = answer.body[: len(answer.body) // 2]
                await self._answer(200, _JSON, half)
            case Fault.REPEAT:
                await self._answer(200, _JSON, self.last_body or b"")
            case Fault.CHANGE:
                changed = rule.change(json.loads(answer.body))
                await self._answer(
                    answer.messages[0]["status"], _JSON, json.dumps(changed).encode()
                )
            case Fault.HTML:
                await self._answer(200, {"content-type": "text/html; charset=utf-8"}, _LOGIN_PAGE)
            case Fault.REDIRECT:
                location = rule.location or f"{self.elsewhere}{self.scope['path']}"
                status = rule.status if 300 <= rule.status < 400 else 307
                await self._answer(status, {"location": location}, b"")
            case _:
                await self._refuse(rule)

    async def _refuse(self, rule: Rule) -> None:
        known = rule.status in set(HTTPStatus)
        phrase = HTTPStatus(rule.status).phrase if known else "Unknown Error"
        headers = {} if rule.retry_after is None else {"retry-after": rule.retry_after}
        if rule.body is not None:
            await self._answer(rule.status, headers, rule.body.encode())
            return
        if self.step is Step.UPLOAD:
            headers["content-type"] = "application/xml"
            code = phrase.replace(" ", "")
            body = f"<Error><Code>{code}</Code><Message>{phrase}</Message></Error>".encode()
        else:
            headers["content-type"] = "application/json"
            body = json.dumps({"detail": phrase}).encode()
        await self._answer(rule.status, headers, body)

    async def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        every = {**headers, "content-length": str(len(body))}
        pairs = [(name.encode(), value.encode()) for name, value in every.items()]
        await self.send({"type": "http.response.start", "status": status, "headers": pairs})
        await self.send({"type": "http.response.body", "body": body})

    async def _send_half_and_drop(self, answer: Answer) -> None:
        head, *_ = answer.messages
        body = answer.body
        await self.send(head)
        part = {"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True}
        await self.send(part)
        await self._drop(reset=False)

    async def _drop(self, *, reset: bool) -> None:
        self.dropping()
        # ASGI hands out no transport; uvicorn's `receive` is a method of an object that has it.
        cycle: Any = self.receive.__self__  # type: ignore[attr-defined]
        transport = cycle.transport
        if reset:
            # Lingering for 0 s makes the kernel send RST instead of FIN.
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            transport.abort()
        else:
            transport.close()
        # uvicorn answers 500 for an application that returns before it knows of the disconnect.
        while (await self.receive())["type"] != "http.disconnect":
            pass
