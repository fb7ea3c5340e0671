"""A deploy hook: one request to a URL that is itself a secret.  It reports no state."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qsl, unquote, urlsplit

from alembic_rescue import errors
from alembic_rescue.clock import CLOCK, Clock
from alembic_rescue.deploying import render, shapes
from alembic_rescue.deploying.http import SECONDS, Client, may_be_done, nobody
from alembic_rescue.deploying.sending import Unanswered
from alembic_rescue.redact import Secrets

VARIABLE = "ALEMBIC_RESCUE_DEPLOY_HOOK"
METHODS = ("POST", "GET")
"""The first is the default."""
_SECRET = 8
"""A part of the path with at least this many characters may be a secret."""
_PUBLIC = frozenset(["ref", "branch", "trigger_branch", "trigger_title", "clear_cache", "imgURL"])
"""The parameters, besides the key, that platforms accept in a hook's URL."""


class Hook:
    """One hook.

    Raises:
        BadPlatformUrl: its URL cannot be used.
    """

    def __init__(
        self,
        url: str,
        method: str,
        secrets: Secrets,
        *,
        seconds: float = SECONDS,
        clock: Clock = CLOCK,
        told: Callable[[str], None] = nobody,
    ) -> None:
        url = url.strip()
        remember(url, secrets)
        if method not in METHODS:
            raise errors.BadUsage(f"--hook-method is {errors.listed(METHODS).replace(' and ', ' or ')}")
        self.method = method
        self._client = Client(
            url, named="the URL of the hook", secrets=secrets, seconds=seconds, clock=clock, told=told
        )
        service = next(filter(render.is_id, urlsplit(url).path.split("/")), None)
        self.shown = f"{service} at {self._client.host}" if service else self._client.host
        """The public part of its URL."""
        self._named = f"the hook {'of' if service else 'at'} {self.shown}"

    def trigger(self) -> str | None:
        """Call the hook.

        Returns:
            The deployment's id, if the answer has one.

        Raises:
            DeploymentNotKnown: it did not answer, and may have triggered a deployment anyway.
            RescueError: it did not trigger a deployment.
        """
        try:
            answer = self._client.once(self.method)
        except (Unanswered, errors.PlatformElsewhere) as lost:
            raise errors.DeploymentNotKnown(self._named, str(lost)) from None
        if may_be_done(answer.status):
            raise errors.DeploymentNotKnown(self._named, f"it answered with HTTP {answer.status}")
        if not answer.is_good:
            raise self._client.failure(answer, "calling the hook")
        try:
            return shapes.text(shapes.record(answer.content, "deploy"), "id") or None
        except shapes.Odd:
            return None


def remember(url: str, secrets: Secrets) -> None:
    """Register every part of the URL that may be a secret, so that it is not shown."""
    secrets.add(url)
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    secrets.add(f"{parts.path}?{parts.query}" if parts.query else None, parts.query)
    as_sent = (item.partition("=")[::2] for item in parts.query.split("&"))
    secrets.add(*(value for name, value in (*as_sent, *parse_qsl(parts.query)) if name not in _PUBLIC))
    named = [part for part in parts.path.split("/") if len(part) >= _SECRET and not render.is_id(part)]
    secrets.add(*named, *map(unquote, named))
