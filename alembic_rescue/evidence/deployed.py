"""A deployment that was asked for, as frozen values: the same for the text, the JSON and the API."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Mode(str, Enum):
    """What the platform is asked to do."""

    BUILD = "build"
    """Build what the branch has now, and deploy that."""
    DEPLOY_ONLY = "deploy-only"
    """Deploy the last build once more."""


@dataclass(frozen=True)
class Deployed:
    """What is known of it."""

    platform: str
    """``render``, or ``hook``."""
    service: str
    """Its name; of a hook the host, and the service where the URL tells it: the rest is a secret."""
    service_id: str | None = None
    id: str | None = None
    """None where a hook does not tell it."""
    status: str | None = None
    """In the platform's word; None where nobody tells it."""
    commit: str | None = None
    mode: Mode | None = None
    """None where it was triggered by somebody else, or by a hook."""
    why: str = ""
    """Why that mode."""
    superseded_by: str | None = None
    """The newer deployment that took over."""
    untold: str = ""
    """What nobody tells of it, for a sentence."""
    last_lines: tuple[str, ...] = ()
    """Of its log, where it failed; without secrets."""


@dataclass(frozen=True)
class Redeploy:
    """How this project is deployed again, as its configuration says."""

    command: str
    variable: str | None = None
    """The one that holds the URL of the hook; the URL itself is a secret."""
