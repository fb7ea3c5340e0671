"""Requests to a platform: which are retried, which never are, and how secrets stay out.

Redirects are followed on the same host only, so that the key goes nowhere else.  A request that triggers something is
sent once; whether it arrived is known or not, see :class:`Unanswered`.
"""

from __future__ import annotations

import ipaddress
import json
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import urlencode, urljoin, urlsplit

from alembic_rescue import errors
from alembic_rescue.clock import CLOCK, Clock
from alembic_rescue.deploying.sending import Answer, Attempt, Unanswered
from alembic_rescue.deploying.shapes import Odd, visible
from alembic_rescue.redact import Secrets

SECONDS = 30.0
"""For one request, from the name lookup to the last byte of the answer."""
_TRIES = 5
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 120.0
_TOO_MANY = 429
_SERVER = 500
_GIVEN_UP = frozenset([408, 499])
"""Something on the way did not wait for the answer."""
_MOVED = frozenset([301, 302, 303, 307, 308])
_SAME_METHOD = frozenset([307, 308])
_REDIRECTIONS = 3
_SHOWN = 300
_EPOCH = 1_000_000_000
"""A larger number is a point in time, not a number of seconds."""
_EPOCH_IN_MILLISECONDS = 1_000_000_000_000
_UNREAD = "an unreadable address"

T = TypeVar("T")


def nobody(_: str) -> None:
    """Do nothing."""


class Client:
    """A client for one platform.

    Args:
        base: its URL; https, or a server on this machine.
        named: the URL's name in errors; the URL itself may be a secret.
        key: for ``Authorization: Bearer``.
        seconds: see :data:`SECONDS`.
        told: called with what is waited for, and how long.

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
        told: Callable[[str], None] = nobody,
    ) -> None:
        self._base, self._key, self._seconds, self._clock, self._hide = base, key, seconds, clock, secrets.hide
        self._told = told
        self.host = _checked(base, named)

    def get(self, path: str, read: Callable[[Any], T], doing: str, **query: object) -> T:
        """Request something.  Retry a few times if the platform is unreachable, failing, or limiting requests.

        Args:
            read: converts the answer's JSON; raises Odd if it cannot, as for a failing platform.
            doing: for errors: ``listing the services``.

        Raises:
            PlatformRefused, PlatformFailed: the answer is an error.
            PlatformUnreachable, PlatformNotTrusted, PlatformElsewhere: there is no answer.
        """
        asked = {name: value for name, value in query.items() if value is not None}
        url = urljoin(self._base, path) + (f"?{urlencode(asked)}" if asked else "")
        pause = _FIRST_PAUSE
        for left in reversed(range(_TRIES)):
            patience = None
            failed: errors.RescueError
            try:
                answer = self._asked("GET", url, None)
                patience = self._patience(answer)
                return self._read(answer, read, doing)
            except Unanswered as lost:
                failed = errors.PlatformUnreachable(self.host, str(lost))
            except (errors.PlatformUnreachable, errors.PlatformFailed) as passing:
                failed = passing
            if not left or (patience or 0) > _LONGEST_PAUSE or not may_pass(failed):
                raise failed
            self._wait(patience, pause, failed.message)
            pause = min(2 * (patience or pause), _LONGEST_PAUSE)
        raise AssertionError("the last try returns or raises")

    def once(self, method: str, path: str = "", body: object = None) -> Answer:
        """Send a request that must be done only once.  Repeat it only if the platform said that it took nothing (429).

        Raises:
            Unanswered: it may have arrived.
            PlatformUnreachable, PlatformNotTrusted: it did not arrive.
            PlatformElsewhere: see there.
        """
        url = urljoin(self._base, path) if path else self._base
        data = None if body is None else json.dumps(body).encode()
        for _ in range(_TRIES - 1):
            answer = self._asked(method, url, data)
            patience = self._patience(answer)
            if patience is None or patience > _LONGEST_PAUSE:
                return answer
            self._wait(patience, patience, "")
        return self._asked(method, url, data)

    def failure(self, answer: Answer, doing: str) -> errors.RescueError:
        """Convert an answer to an error."""
        content = answer.content
        said = content.get("message") if isinstance(content, dict) else None
        told = self._hide(visible(" ".join(str(said or answer.text).split())[:_SHOWN]))
        if answer.status in {401, 403}:
            return errors.PlatformRefused(self.host, answer.status, doing, told)
        if answer.is_good:
            told = f"an unexpected answer: {told}" if told else "an empty answer"
        elif patience := self._patience(answer):
            told = f"it limits requests for another {patience:.0f} s"
        return errors.PlatformFailed(self.host, answer.status, doing, told)

    def _read(self, answer: Answer, read: Callable[[Any], T], doing: str) -> T:
        if answer.is_good:
            with suppress(Odd):
                return read(answer.content)
        raise self.failure(answer, doing)

    def _wait(self, patience: float | None, otherwise: float, why: str) -> None:
        """Wait as long as the platform asks, else for the given time."""
        seconds = patience or otherwise
        reason = f"{self.host} limits requests" if patience else why
        self._told(f"{reason}; next try in {seconds:.0f} s")
        self._clock.sleep(seconds)

    def _patience(self, answer: Answer) -> float | None:
        """How long the platform asks to wait; None if it does not ask."""
        if answer.status != _TOO_MANY:
            return None
        for name in ("ratelimit-reset", "retry-after"):
            with suppress(ValueError, KeyError):
                reset = float(answer.headers[name])
                reset = reset / 1000 if reset > _EPOCH_IN_MILLISECONDS else reset
                wait = reset - self._clock.epoch() if reset > _EPOCH else reset
                return max(1.0, wait) if wait == wait else 10.0  # noqa: PLR0124 - "nan" is a number to float()
        return 10.0

    def _asked(self, method: str, url: str, data: bytes | None) -> Answer:
        for _ in range(_REDIRECTIONS + 1):
            answer = Attempt(self._request(method, url, data), self.host, self._seconds, self._hide).answer()
            if answer.status not in _MOVED:
                return answer
            moved = _moved(url, answer.headers.get("location", ""))
            if moved is None:
                raise errors.PlatformElsewhere(self.host, _UNREAD)
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


def may_pass(error: errors.RescueError) -> bool:
    """Whether the same request may succeed later."""
    if isinstance(error, errors.PlatformFailed):
        return error.status >= _SERVER or error.status in {408, _TOO_MANY} or error.status < 300  # noqa: PLR2004
    return isinstance(error, errors.PlatformUnreachable)


def may_be_done(status: int) -> bool:
    """Whether the request may have been carried out anyway: a proxy before the platform may have passed it on."""
    return status >= _SERVER or status in _GIVEN_UP


def _checked(url: str, named: str) -> str:
    """The host of a usable URL."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        raise errors.BadPlatformUrl(named, "it is not a URL") from None
    if not url.isascii() or not url.isprintable() or " " in url:
        raise errors.BadPlatformUrl(named, "it contains a character that is not allowed in a URL")
    if parts.scheme not in {"http", "https"} or not host:
        raise errors.BadPlatformUrl(named, "it does not start with https:// and a host")
    if parts.scheme == "http" and not _is_here(host):
        raise errors.BadPlatformUrl(named, "it uses http, which anyone on the network can read")
    if parts.username or parts.password:
        raise errors.BadPlatformUrl(named, "it has a user or a password before the host")
    return host


def _is_here(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _moved(url: str, location: str) -> str | None:
    """The target of a redirect; None if it cannot be read."""
    with suppress(ValueError):
        moved = urljoin(url, location)
        parts = urlsplit(moved)
        _ = parts.port
        if location and moved.isascii() and moved.isprintable() and " " not in moved and parts.hostname:
            return moved
    return None


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _shown_origin(url: str) -> str:
    scheme, host, port = _origin(url)
    return f"{scheme}://{host}" + (f":{port}" if port else "")
