"""Render's API, version 1: its words, as frozen values.

https://api-docs.render.com, and how Render's own clients use it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from alembic_rescue import errors
from alembic_rescue.clock import CLOCK, Clock
from alembic_rescue.deploying.http import SECONDS, Answer, Client, Unanswered
from alembic_rescue.deploying.values import Deployment, LogLine, Page, Service, State
from alembic_rescue.evidence.deployed import Mode
from alembic_rescue.redact import Secrets

BASE = "https://api.render.com/v1/"
KEY, HOST = "RENDER_API_KEY", "RENDER_HOST"
"""The variables, as Render's own clients read them."""
_ID = re.compile(r"(?:srv|crn)-[0-9a-z]{4,}")
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


class Render:
    """What is asked of it."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def service(self, named: str) -> Service:
        """The service of this name, or id.

        Raises:
            NoSuchService, AmbiguousService: there is none, or several.
            RescueError: see :meth:`_good`.
        """
        if _ID.fullmatch(named):
            answer = self.client.get(f"services/{named}")
            if answer.status in _NOT_FOUND:
                raise errors.NoSuchService(named, [])
            content = self._good(answer, f"looking for the service {named}")
            return _service(content.get("service", content))
        found: list[Service] = []
        cursor = None
        for _ in range(_PAGES):
            answer = self.client.get("services", name=named, limit=_LIMIT, cursor=cursor)
            entries = self._listed(answer, "listing the services")
            found += [_service(entry.get("service", {})) for entry in entries]
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
        """The latest deployments, the newest first."""
        answer = self.client.get(f"services/{service.id}/deploys", status=status, limit=limit)
        entries = self._listed(answer, "listing the deployments")
        return tuple(_deployment(entry.get("deploy", {})) for entry in entries)

    def trigger(self, service: Service, mode: Mode) -> Deployment | None:
        """Trigger a deployment.

        Returns:
            It; None where it was accepted and is to be found in the list.

        Raises:
            Unanswered: whether it was is not known.
            RescueError: it was not.
        """
        answer = self.client.once("POST", f"services/{service.id}/deploys", {"deployMode": _MODES[mode]})
        if answer.status == _ACCEPTED or (answer.is_good and not answer.text.strip()):
            return None
        if answer.status in _NOT_FOUND:
            raise errors.NoSuchService(service.id, [])
        if not answer.is_good:
            raise self.client.failure(answer, f"triggering a deployment of {service.name}")
        content = answer.content
        if not isinstance(content, dict) or not content.get("id"):
            raise Unanswered("its answer cannot be read")
        return _deployment(content)

    def deployment(self, service: Service, named: str) -> Deployment:
        """The deployment of this id, as it is now.

        Raises:
            NoSuchDeployment: the service has none.
        """
        answer = self.client.get(f"services/{service.id}/deploys/{quote(named, safe='')}")
        if answer.status in _NOT_FOUND:
            raise errors.NoSuchDeployment(named, service.name)
        content = self._good(answer, f"looking at {named}")
        return _deployment(content.get("deploy", content))

    def page(self, service: Service, start: str, end: str | None = None) -> Page:
        """A page of the service's log.

        Args:
            start, end: RFC 3339.
        """
        answer = self.client.get(
            "logs",
            ownerId=service.owner,
            resource=service.id,
            startTime=start,
            endTime=end,
            direction="forward",
            limit=_LIMIT,
        )
        content = self._good(answer, "reading the log")
        more = bool(content.get("hasMore")) and content.get("nextStartTime")
        entries = content.get("logs") or []
        return Page(
            tuple(_line(entry) for entry in entries if isinstance(entry, dict)),
            (str(content["nextStartTime"]), str(content.get("nextEndTime") or "")) if more else None,
        )

    def _good(self, answer: Answer, doing: str) -> dict[str, Any]:
        """What an answer says.

        Raises:
            PlatformRefused, PlatformFailed: it is none of the expected ones.
        """
        content = answer.content
        if not answer.is_good or not isinstance(content, dict):
            raise self.client.failure(answer, doing)
        return content

    def _listed(self, answer: Answer, doing: str) -> list[dict[str, Any]]:
        content = answer.content
        if not answer.is_good or not isinstance(content, list):
            raise self.client.failure(answer, doing)
        return [entry for entry in content if isinstance(entry, dict)]


def of_environment(
    secrets: Secrets, environment: Mapping[str, str] = os.environ, *, seconds: float = SECONDS, clock: Clock = CLOCK
) -> Render:
    """Render, with the key and at the host that the environment names.

    Raises:
        PlatformKeyMissing: it has none.
        BadPlatformUrl: the host cannot be used.
    """
    key = environment.get(KEY, "").strip()
    secrets.add(key)
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise errors.PlatformKeyMissing(KEY)
    host = environment.get(HOST, "").strip() or BASE
    base = (host if "://" in host else f"https://{host}").rstrip("/") + "/"
    return Render(Client(base, named=HOST, secrets=secrets, key=key, seconds=seconds, clock=clock))


def _service(told: Mapping[str, Any]) -> Service:
    return Service(
        id=str(told.get("id") or ""),
        name=str(told.get("name") or ""),
        owner=str(told.get("ownerId") or ""),
        kind=str(told.get("type") or ""),
        suspended=told.get("suspended") in {"suspended", True},
        branch=str(told["branch"]) if told.get("branch") else None,
    )


def _deployment(told: Mapping[str, Any]) -> Deployment:
    status = str(told.get("status") or "")
    commit = told.get("commit") or {}
    return Deployment(
        id=str(told.get("id") or ""),
        status=status,
        state=_STATES.get(status, State.RUNNING),
        built=status in _BUILT,
        trigger=str(told.get("trigger") or ""),
        commit=str(commit["id"]) if commit.get("id") else None,
        message=str(commit.get("message") or "").strip().partition("\n")[0],
        created=str(told.get("createdAt") or ""),
    )


def _line(told: Mapping[str, Any]) -> LogLine:
    labels = {one.get("name"): one.get("value") for one in told.get("labels") or [] if isinstance(one, dict)}
    return LogLine(
        id=str(told.get("id") or f"{told.get('timestamp')} {told.get('message')}"),
        timestamp=str(told.get("timestamp") or ""),
        message=str(told.get("message") or ""),
        instance=str(labels.get("instance") or ""),
    )
