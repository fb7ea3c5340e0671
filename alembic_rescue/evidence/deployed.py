"""A triggered deployment, as frozen values: shared by the text output, the JSON and the API."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Mode(str, Enum):
    """What the platform is asked to do."""

    BUILD = "build"
    """Build the branch's current commit, and deploy that."""
    DEPLOY_ONLY = "deploy-only"
    """Deploy the last build again."""


@dataclass(frozen=True)
class Deployed:
    """What is known of a deployment."""

    platform: str
    """``render``, or ``hook``."""
    service: str
    """The service's name; for a hook, its host, and the service if the URL names it: the rest is a secret."""
    service_id: str | None = None
    id: str | None = None
    """None if the hook does not return it."""
    status: str | None = None
    """In the platform's words; None if unknown."""
    commit: str | None = None
    mode: Mode | None = None
    """None if someone else or a hook triggered it."""
    why: str = ""
    """The reason for that mode."""
    superseded_by: str | None = None
    """The newer deployment that replaced it."""
    untold: str = ""
    """What is unknown about it, for a sentence."""
    last_lines: tuple[str, ...] = ()
    """The last lines of its log, if it failed; without secrets."""


@dataclass(frozen=True)
class Redeploy:
    """How to redeploy this project, from its configuration."""

    command: str
    variable: str | None = None
    """The environment variable with the hook's URL; the URL itself is a secret."""
