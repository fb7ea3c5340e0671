"""The project's deployment settings: ``[alembic_rescue] render_service`` and ``deploy_hook``."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from alembic_rescue.evidence.deployed import Redeploy
from alembic_rescue.model import addressed


def service(settings: Mapping[str, str]) -> str | None:
    """The service on Render; None if none is configured."""
    return settings.get("render_service", "").strip() or None


def hook_variable(settings: Mapping[str, str]) -> str | None:
    """The variable with the hook's URL; None if none is configured."""
    return settings.get("deploy_hook", "").strip() or None


def redeploy(settings: Mapping[str, str], only: str | None) -> Redeploy | None:
    """The command that deploys the project again; None if the configuration does not say."""
    if named := service(settings):
        return Redeploy(addressed(f"alembic-rescue redeploy --render {shlex.quote(named)}", only))
    if variable := hook_variable(settings):
        return Redeploy(addressed("alembic-rescue redeploy", only), variable)
    return None
