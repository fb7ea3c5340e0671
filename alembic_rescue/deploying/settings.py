"""What the configuration says of how a project is deployed: ``[alembic_rescue] render_service`` and ``deploy_hook``."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from alembic_rescue.evidence.deployed import Redeploy
from alembic_rescue.model import addressed


def service(settings: Mapping[str, str]) -> str | None:
    """The service on Render; None where none is configured."""
    return settings.get("render_service", "").strip() or None


def hook_variable(settings: Mapping[str, str]) -> str | None:
    """The variable that holds the URL of the hook; None where none is configured."""
    return settings.get("deploy_hook", "").strip() or None


def redeploy(settings: Mapping[str, str], only: str | None) -> Redeploy | None:
    """What deploys the project again; None where the configuration does not say."""
    if named := service(settings):
        return Redeploy(addressed(f"alembic-rescue redeploy --render {shlex.quote(named)}", only))
    if variable := hook_variable(settings):
        return Redeploy(addressed("alembic-rescue redeploy", only), variable)
    return None
