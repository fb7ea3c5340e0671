"""One HTTP request with its own time limit, and whether it may have arrived.  Uses the standard library.

Certificates are verified, and redirects are returned as answers.
"""

from __future__ import annotations

import http.client
import json
import queue
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from alembic_rescue import errors

_LONGEST_ANSWER = 8_000_000


class Unanswered(Exception):  # noqa: N818 - for who asked, who tells what it means
    """The request may have arrived, but there is no answer."""


@dataclass(frozen=True)
class Answer:
    """A server's answer."""

    status: int
    text: str
    headers: Mapping[str, str]
    """With lower-case names."""

    @property
    def content(self) -> Any:
        """The parsed JSON; None if it is not JSON."""
        with suppress(ValueError, RecursionError):
            return json.loads(self.text)
        return None

    @property
    def is_good(self) -> bool:
        """Whether the server did what was requested."""
        return self.status // 100 == 2  # noqa: PLR2004 - HTTP's own


class Attempt:
    """One request, in a thread that can be abandoned, because a name lookup has no timeout.

    Args:
        seconds: from the name lookup to the last byte of the answer.
    """

    def __init__(self, request: urllib.request.Request, host: str, seconds: float, hide: Callable[[str], str]) -> None:
        self._request, self._host, self._seconds, self._hide = request, host, seconds, hide
        self._lock = threading.Lock()
        self._sent = self._given_up = False
        self._outcome: queue.SimpleQueue[Answer | Exception] = queue.SimpleQueue()

    def answer(self) -> Answer:
        """Send the request, and return the answer.

        Raises:
            Unanswered: it may have arrived.
            PlatformUnreachable, PlatformNotTrusted: it did not arrive.
        """
        threading.Thread(target=self._run, daemon=True, name="http").start()
        try:
            outcome = self._outcome.get(timeout=self._seconds)
        except queue.Empty:
            with self._lock:
                self._given_up = True
            outcome = TimeoutError()
        except KeyboardInterrupt:
            with self._lock:
                self._given_up = True
            raise
        if isinstance(outcome, Answer):
            return outcome
        raise self._failed(outcome) from None

    def _failed(self, error: Exception) -> Exception:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, ssl.SSLCertVerificationError):
            return errors.PlatformNotTrusted(self._host, self._hide(reason.verify_message))
        said = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        if isinstance(reason, TimeoutError) and not reason.errno:  # the queue's timeout, or the socket's
            said = f"no answer within {self._seconds:g} s"
        told = self._hide(said)
        return Unanswered(told) if self._sent else errors.PlatformUnreachable(self._host, told)

    def _run(self) -> None:
        try:
            self._outcome.put(self._opened())
        except Exception as error:  # noqa: BLE001 - told by who waits for it
            self._outcome.put(error)

    def _opened(self) -> Answer:
        try:
            with self._opener().open(self._request, timeout=self._seconds) as response:
                return _read(response)
        except urllib.error.HTTPError as refused:
            with refused:
                return _read(refused)

    def _opener(self) -> urllib.request.OpenerDirector:
        handlers: list[Any] = [_NotRedirecting(), _Http(self.goes_out), _Https(self.goes_out)]
        if self._request.type == "http":
            handlers.append(urllib.request.ProxyHandler({}))  # this machine needs no proxy, which would see the key
        return urllib.request.build_opener(*handlers)

    def goes_out(self) -> None:
        """Called when the connection is open and the request is about to be sent."""
        with self._lock:
            if self._given_up:
                raise TimeoutError("given up")
            self._sent = True


class _NotRedirecting(urllib.request.HTTPRedirectHandler):
    """Returns a redirect as an answer."""

    def redirect_request(self, *_: Any) -> None:
        """Return None: a redirect is an answer like any other."""

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> None:
        """Return None too: the standard library would check the address first, and raise at an odd one."""

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _announcing(kind: type[http.client.HTTPConnection], goes_out: Callable[[], None]) -> Any:
    class Connection(kind):  # type: ignore[valid-type, misc]
        def connect(self) -> None:
            super().connect()
            goes_out()

    return Connection


class _Http(urllib.request.HTTPHandler):
    def __init__(self, goes_out: Callable[[], None]) -> None:
        super().__init__()
        self._connection = _announcing(http.client.HTTPConnection, goes_out)

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._connection, req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, goes_out: Callable[[], None]) -> None:
        super().__init__()
        self._connection = _announcing(http.client.HTTPSConnection, goes_out)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._connection, req, context=ssl.create_default_context())


def _read(response: Any) -> Answer:
    body: bytes = response.read(_LONGEST_ANSWER)
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status, body.decode("utf-8", "replace"), headers)
