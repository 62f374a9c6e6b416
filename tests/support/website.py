"""A web server that gives out recordings, or answers with whatever a test wants."""

import http.server
import ssl
from functools import partial
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Self


class _Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *arguments: object, website: "Website", **options: object) -> None:
        self._website = website
        super().__init__(*arguments, **options)

    def send_head(self) -> object:
        name = Path(self.path.partition("?")[0]).name
        given = self._website.given.get(name, 0)
        self._website.given[name] = given + (self.command == "GET")
        status = self._website.statuses.get(name, 0)
        if status and given >= self._website.after.get(name, 0):
            self.send_error(status)
            return None
        return super().send_head()

    def log_message(self, format: str, *values: object) -> None:
        """Say nothing."""


class Website:
    """Serves a folder on a port of this machine.

    Attributes
    ----------
    statuses
        By the name of a file: the error that is answered in its place.
    after
        By the name of a file: so many requests (GET) are answered well before that.
    given
        By the name of a file: requests (GET) for it.
    """

    def __init__(self, folder: Path, *, tls: ssl.SSLContext | None = None) -> None:
        self.statuses: dict[str, int] = {}
        self.after: dict[str, int] = {}
        self.given: dict[str, int] = {}
        handler = partial(_Handler, directory=str(folder), website=self)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        if tls is not None:
            # The handshake belongs into the thread of a connection, and not in front of all others.
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._scheme = "http" if tls is None else "https"
        self._thread = Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.server_port

    @property
    def url(self) -> str:
        """Its address."""
        return f"{self._scheme}://127.0.0.1:{self.port}"
