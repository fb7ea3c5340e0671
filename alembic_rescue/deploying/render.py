"""Render's API, version 1, as frozen values.

See https://api-docs.render.com, and how Render's own clients use it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

from alembic_rescue import errors
from alembic_rescue.clock import CLOCK, Clock
from alembic_rescue.deploying import shapes
from alembic_rescue.deploying.http import SECONDS, Client, nobody
from alembic_rescue.deploying.sending import Unanswered
from alembic_rescue.deploying.values import Deployment, LogLine, Page, Service, State
from alembic_rescue.errors import RescueError
from alembic_rescue.evidence.deployed import Mode
from alembic_rescue.redact import Secrets

BASE = "https://api.render.com/v1/"
KEY, HOST = "RENDER_API_KEY", "RENDER_HOST"
"""The environment variables, the same as for Render's own clients."""
_ID = re.compile(r"(?:srv|crn)-[0-9a-z]{4,}")
"""A service's id."""
_LIMIT = 100
_PAGES = 100
_STATES = {
    "created": State.CREATED,
    "live": State.LIVE,
    "deactivated": State.REPLACED,
    "build_failed": State.FAILED,
    "pre_deploy_failed": State.FAILED,
    "update_failed": State.FAILED,
    "canceled": State.CANCELED,
}
_BUILT = frozenset(
    ["pre_deploy_in_progress", "update_in_progress", "live", "deactivated", "pre_deploy_failed", "update_failed"]
)
_MODES = {Mode.BUILD: "build_and_deploy", Mode.DEPLOY_ONLY: "deploy_only"}
_NOT_FOUND = frozenset([404, 410])
_ACCEPTED = 202
_SIMILAR = 5
_One = TypeVar("_One", Service, Deployment)


class Render:
    """Requests to Render.  Answers are read without trust: see :mod:`alembic_rescue.deploying.shapes`."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def service(self, named: str) -> Service:
        """The service with this name or id.

        Raises:
            NoSuchService, AmbiguousService: there is none, or several.
            RescueError: see :meth:`Client.get`.
        """
        if is_id(named):
            with _missing(errors.NoSuchService(named, [])):
                return self.client.get(
                    f"services/{named}", partial(_this, named, "service", _service), f"looking for {named}"
                )
        found: list[Service] = []
        cursor = None
        for _ in range(_PAGES):
            entries = self.client.get(
                "services", shapes.records, "listing the services", name=named, limit=_LIMIT, cursor=cursor
            )
            found += [_service(entry["service"]) for entry in entries if isinstance(entry.get("service"), dict)]
            if len(entries) < _LIMIT:
                break
            cursor = entries[-1].get("cursor")
        fitting = {service.id: service for service in found if service.name == named}
        if not fitting:
            raise errors.NoSuchService(named, [f"{one.name} ({one.id})" for one in found[:_SIMILAR]])
        if len(fitting) > 1:
            raise errors.AmbiguousService(named, list(fitting))
        return next(iter(fitting.values()))

    def recent(self, service: Service, *, status: str | None = None, limit: int = 20) -> tuple[Deployment, ...]:
        """The latest deployments, newest first."""
        path = f"services/{service.id}/deploys"
        return self.client.get(path, _deployments, "listing the deployments", status=status, limit=limit)

    def trigger(self, service: Service, mode: Mode) -> Deployment | None:
        """Trigger a deployment.

        Returns:
            The deployment; None if it was accepted and has to be looked up in the list.

        Raises:
            Unanswered: it is unknown whether one was triggered.
            RescueError: none was triggered.
        """
        answer = self.client.once("POST", f"services/{service.id}/deploys", {"deployMode": _MODES[mode]})
        if answer.status == _ACCEPTED or (answer.is_good and not answer.text.strip()):
            return None
        if answer.status in _NOT_FOUND:
            raise errors.NoSuchService(service.id, [])
        if not answer.is_good:
            raise self.client.failure(answer, f"triggering a deployment of {service.name}")
        try:
            return _deployment(answer.content)
        except shapes.Odd:
            raise Unanswered("its answer is unreadable") from None

    def deployment(self, service: Service, named: str) -> Deployment:
        """The current state of the deployment with this id.

        Raises:
            NoSuchDeployment: the service has no such deployment.
            RescueError: see :meth:`Client.get`.
        """
        path = f"services/{service.id}/deploys/{quote(named, safe='')}"
        with _missing(errors.NoSuchDeployment(named, service.name)):
            return self.client.get(path, partial(_this, named, "deploy", _deployment), f"looking at {named}")

    def page(self, service: Service, start: str, end: str | None = None) -> Page:
        """A page of the service's log.

        Args:
            start, end: RFC 3339.
        """
        return self.client.get(
            "logs",
            _page,
            "reading the log",
            ownerId=service.owner,
            resource=service.id,
            startTime=start,
            endTime=end,
            direction="forward",
            limit=_LIMIT,
        )


def is_id(text: str) -> bool:
    """Whether this is a service's id."""
    return _ID.fullmatch(text) is not None


def of_environment(
    secrets: Secrets,
    environment: Mapping[str, str] = os.environ,
    *,
    seconds: float = SECONDS,
    clock: Clock = CLOCK,
    told: Callable[[str], None] = nobody,
) -> Render:
    """A client for Render, with the key and the host from the environment.

    Args:
        told: see :class:`Client`.

    Raises:
        PlatformKeyMissing: there is no usable key.
        BadPlatformUrl: the host cannot be used.
    """
    key = environment.get(KEY, "").strip()
    secrets.add(key)
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise errors.PlatformKeyMissing(KEY)
    host = environment.get(HOST, "").strip() or BASE
    base = (host if "://" in host else f"https://{host}").rstrip("/") + "/"
    return Render(Client(base, named=HOST, secrets=secrets, key=key, seconds=seconds, clock=clock, told=told))


@contextmanager
def _missing(error: RescueError) -> Iterator[None]:
    """Raise this error if the requested object does not exist."""
    try:
        yield
    except errors.PlatformFailed as failed:
        if failed.status not in _NOT_FOUND:
            raise
        raise error from None


def _this(named: str, key: str, read: Callable[[object], _One], told: object) -> _One:
    """The object requested by its id, which the answer may nest under `key`."""
    found = read(shapes.record(told).get(key, told))
    if found.id != named:
        raise shapes.Odd("it is a different one")
    return found


def _service(told: object) -> Service:
    content = shapes.record(told)
    return Service(
        id=shapes.needed(content, "id"),
        name=shapes.text(content, "name"),
        owner=shapes.text(content, "ownerId"),
        kind=shapes.text(content, "type"),
        suspended=content.get("suspended") in ("suspended", True),
        branch=shapes.text(content, "branch") or None,
    )


def _deployments(told: object) -> tuple[Deployment, ...]:
    return tuple(_deployment(shapes.record(entry, "deploy")) for entry in shapes.records(told))


def _deployment(told: object) -> Deployment:
    content = shapes.record(told)
    status = shapes.needed(content, "status")
    commit = content.get("commit")
    commit = commit if isinstance(commit, dict) else {}
    message = commit.get("message")
    return Deployment(
        id=shapes.needed(content, "id"),
        status=status,
        state=_STATES.get(status, State.RUNNING),
        built=status in _BUILT,
        trigger=shapes.text(content, "trigger"),
        commit=shapes.text(commit, "id") or None,
        message=shapes.visible(message.strip().partition("\n")[0]) if isinstance(message, str) else "",
        created=shapes.text(content, "createdAt"),
    )


def _page(told: object) -> Page:
    content = shapes.record(told)
    entries = content.get("logs")
    start, end = shapes.text(content, "nextStartTime"), shapes.text(content, "nextEndTime")
    more = content.get("hasMore") is True and bool(start)
    return Page(tuple(map(_line, shapes.records([] if entries is None else entries))), (start, end) if more else None)


def _line(told: Mapping[str, Any]) -> LogLine:
    labels = told.get("labels")
    named = (
        {shapes.text(one, "name"): one for one in labels if isinstance(one, dict)} if isinstance(labels, list) else {}
    )
    timestamp, message = shapes.text(told, "timestamp"), told.get("message")
    message = message if isinstance(message, str) else ""
    return LogLine(
        id=shapes.text(told, "id") or f"{timestamp} {message}",
        timestamp=timestamp,
        message=message,
        instance=shapes.text(named.get("instance", {}), "value"),
    )
