"""Asking a platform over HTTP: what is retried, what never is, and what no secret gets into.  The standard library's.

A certificate is verified.  A redirection is followed on the same host only, so that the key goes nowhere else.  What
triggers something is sent once: whether it arrived is told apart, see :class:`Unanswered`.
"""

from __future__ import annotations

import http.client
import ipaddress
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
from urllib.parse import urlencode, urljoin, urlsplit

from alembic_rescue import errors
from alembic_rescue.clock import CLOCK, Clock
from alembic_rescue.redact import Secrets

SECONDS = 30.0
"""For one request, from the name's look-up to the last byte of the answer."""
_TRIES = 5
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 120.0
_TOO_MANY = 429
_SERVER = 500
_MOVED = frozenset([301, 302, 303, 307, 308])
_SAME_METHOD = frozenset([307, 308])
_REDIRECTIONS = 3
_LONGEST_ANSWER = 8_000_000
_SHOWN = 300
_EPOCH = 1_000_000_000
"""A larger number is a moment, not a number of seconds."""
_EPOCH_IN_MILLISECONDS = 1_000_000_000_000


class Unanswered(Exception):  # noqa: N818 - for who asked, who tells what it means
    """The request may have arrived, and there is no answer."""


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    status: int
    text: str
    headers: Mapping[str, str]
    """By their names in small letters."""

    @property
    def content(self) -> Any:
        """What its JSON says; None where it is none."""
        with suppress(ValueError, RecursionError):
            return json.loads(self.text)
        return None

    @property
    def is_good(self) -> bool:
        """Whether it did what it was asked."""
        return self.status // 100 == 2  # noqa: PLR2004 - HTTP's own


class Client:
    """Asks one platform.

    Args:
        base: its URL; https, or a server of this very machine.
        named: what the URL is called, for errors; the URL itself may be a secret.
        key: for ``Authorization: Bearer``.
        seconds: see :data:`SECONDS`.

    Raises:
        BadPlatformUrl: the URL cannot be used.
    """

    def __init__(
        self,
        base: str,
        *,
        named: str,
        secrets: Secrets,
        key: str | None = None,
        seconds: float = SECONDS,
        clock: Clock = CLOCK,
    ) -> None:
        self._base, self._key, self._seconds, self._clock, self._hide = base, key, seconds, clock, secrets.hide
        self.host = _checked(base, named)

    def get(self, path: str, **query: object) -> Answer:
        """Ask for something; again, a few times, where the platform is not there, or not well, or asks for patience.

        Raises:
            PlatformUnreachable, PlatformNotTrusted, PlatformElsewhere: there is no answer.
        """
        asked = {name: value for name, value in query.items() if value is not None}
        url = urljoin(self._base, path) + (f"?{urlencode(asked)}" if asked else "")
        pause, last = _FIRST_PAUSE, _TRIES - 1
        for number in range(_TRIES):
            try:
                answer = self._asked("GET", url, None)
            except Unanswered as lost:
                if number == last:
                    raise errors.PlatformUnreachable(self.host, str(lost)) from None
            except errors.PlatformUnreachable:
                if number == last:
                    raise
            else:
                wait = self._patience(answer)
                if (answer.status < _SERVER and wait is None) or number == last or (wait or 0) > _LONGEST_PAUSE:
                    return answer
                pause = wait or pause
            self._clock.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        raise AssertionError("the last try returns or raises")

    def once(self, method: str, path: str = "", body: object = None) -> Answer:
        """Ask for what is to be done once.  Sent again only where the platform has said that it took nothing (429).

        Raises:
            Unanswered: it may have arrived.
            PlatformUnreachable, PlatformNotTrusted: it did not.
            PlatformElsewhere: see there.
        """
        url = urljoin(self._base, path) if path else self._base
        data = None if body is None else json.dumps(body).encode()
        for _ in range(_TRIES - 1):
            answer = self._asked(method, url, data)
            wait = self._patience(answer)
            if wait is None or wait > _LONGEST_PAUSE:
                return answer
            self._clock.sleep(wait)
        return self._asked(method, url, data)

    def failure(self, answer: Answer, doing: str) -> errors.RescueError:
        """The error that an answer is."""
        content = answer.content
        said = content.get("message") if isinstance(content, dict) else None
        told = self._hide(" ".join(str(said or answer.text).split())[:_SHOWN])
        if answer.status in {401, 403}:
            return errors.PlatformRefused(self.host, answer.status, doing, told)
        return errors.PlatformFailed(self.host, answer.status, doing, told)

    def _patience(self, answer: Answer) -> float | None:
        """How long the platform asks to wait; None where it does not ask for that."""
        if answer.status != _TOO_MANY:
            return None
        for name in ("ratelimit-reset", "retry-after"):
            with suppress(ValueError, KeyError):
                reset = float(answer.headers[name])
                reset = reset / 1000 if reset > _EPOCH_IN_MILLISECONDS else reset
                return max(1.0, reset - self._clock.epoch() if reset > _EPOCH else reset)
        return 10.0

    def _asked(self, method: str, url: str, data: bytes | None) -> Answer:
        for _ in range(_REDIRECTIONS + 1):
            answer = _Attempt(self._request(method, url, data), self.host, self._seconds, self._hide).answer()
            if answer.status not in _MOVED:
                return answer
            moved = urljoin(url, answer.headers.get("location", ""))
            if _origin(moved) != _origin(url) or (method != "GET" and answer.status not in _SAME_METHOD):
                raise errors.PlatformElsewhere(self.host, _shown_origin(moved))
            url = moved
        raise errors.PlatformElsewhere(self.host, f"{self.host}, again and again")

    def _request(self, method: str, url: str, data: bytes | None) -> urllib.request.Request:
        headers = {"Accept": "application/json", "User-Agent": "alembic-rescue"}
        if data is not None:
            headers["Content-Type"] = "application/json"
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        return urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - its scheme was checked


class _Attempt:
    """One request, in a thread that may be given up: the look-up of a name has no timeout of its own."""

    def __init__(self, request: urllib.request.Request, host: str, seconds: float, hide: Callable[[str], str]) -> None:
        self._request, self._host, self._seconds, self._hide = request, host, seconds, hide
        self._lock = threading.Lock()
        self._sent = self._given_up = False
        self._outcome: queue.SimpleQueue[Answer | Exception] = queue.SimpleQueue()

    def answer(self) -> Answer:
        """What came of it.

        Raises:
            Unanswered, PlatformUnreachable, PlatformNotTrusted: see :class:`Client`.
        """
        threading.Thread(target=self._run, daemon=True, name="http").start()
        try:
            outcome = self._outcome.get(timeout=self._seconds)
        except queue.Empty:
            with self._lock:
                self._given_up = True
            outcome = TimeoutError(f"no answer within {self._seconds:g} s")
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
            handlers.append(urllib.request.ProxyHandler({}))  # this very machine needs none, and it would see the key
        return urllib.request.build_opener(*handlers)

    def goes_out(self) -> None:
        """There is a connection, and the request is about to be sent."""
        with self._lock:
            if self._given_up:
                raise TimeoutError("given up")
            self._sent = True


class _NotRedirecting(urllib.request.HTTPRedirectHandler):
    """Hands a redirection on as it is."""

    def redirect_request(self, *_: Any) -> None:
        """None: it is an answer like others."""


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


def _checked(url: str, named: str) -> str:
    """The host of a URL that can be used."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        raise errors.BadPlatformUrl(named, "it is no URL") from None
    if not url.isascii() or not url.isprintable() or " " in url:
        raise errors.BadPlatformUrl(named, "it has a character that no URL has")
    if parts.scheme not in {"http", "https"} or not host:
        raise errors.BadPlatformUrl(named, "it does not begin with https:// and a host")
    if parts.scheme == "http" and not _is_here(host):
        raise errors.BadPlatformUrl(named, "it is http, which everybody on the way can read")
    if parts.username or parts.password:
        raise errors.BadPlatformUrl(named, "it has a user or a password before the host")
    return host


def _is_here(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _origin(url: str) -> tuple[str, str | None, int | None]:
    with suppress(ValueError):
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port
    return "", None, None


def _shown_origin(url: str) -> str:
    scheme, host, port = _origin(url)
    return f"{scheme}://{host}" + (f":{port}" if port else "")
