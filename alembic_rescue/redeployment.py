"""The verb :func:`redeploy`: from a database that is put right to a service that is live, and a chain at its head.

platform -> deployment -> its end -> the database, or the diagnosis.  Nothing here prints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from alembic_rescue import errors, rescue, waiting
from alembic_rescue.client import Project, silent
from alembic_rescue.deploying import deployment
from alembic_rescue.deploying.following import Told
from alembic_rescue.deploying.values import PACE, Pace
from alembic_rescue.errors import RescueError
from alembic_rescue.evidence.deployed import Mode
from alembic_rescue.model import Outcome, Report
from alembic_rescue.records import logs


def redeploy(
    project: Project,
    *,
    confirm: deployment.Confirm,
    render: str | None = None,
    hook: str | None = None,
    hook_method: str = "POST",
    follow: str | None = None,
    mode: Mode | None = None,
    timeout: float = waiting.TIMEOUT,
    only: str | None = None,
    folder: Path | None = None,
    told: Callable[[Told], None] = silent,
    seen: Callable[[waiting.Seen], None] = waiting.nobody,
    pace: Pace = PACE,
) -> Report:
    """Deploy again, follow the deployment to its end, and prove that the database stands at its heads then.

    Nothing is triggered twice, and nothing before the databases could be looked at.

    Args:
        confirm: is shown what is to be triggered, and decides.
        render: a service on Render, by its exact name or its id; the key is taken from RENDER_API_KEY.
        hook: in place of it, the URL of a deploy hook.  It tells no state: the database at its heads is the judge.
        hook_method: ``POST`` or ``GET``.
        follow: the id of a deployment on Render that is under way; nothing is triggered then.
        mode: whether to build; None picks by what git tells of the last build.
        timeout: how many seconds the database is waited for, once the service is live.
        told: is shown what is new of the deployment.
        seen: is shown what each look at the database saw.
        pace: how often the platform is asked.

    Returns:
        A report whose outcome is DEPLOYED.  A recommendation other than NOTHING says why what counts as applied is not
        proved.

    Raises:
        NoPlatform, PlatformKeyMissing, BadPlatformUrl, NoSuchService, AmbiguousService: nothing was triggered.
        ServiceSuspended, NotConfirmed: nothing was triggered.
        DeploymentNotKnown: whether something was triggered is not known.
        DeploymentFailed: it did not go live; its report is the diagnosis, from the log and the database.
        DeploymentSuperseded, DeploymentUnfinished: it is not known to have gone live.
        FollowingInterrupted, FollowingLost: it goes on.
        WaitTimedOut, AppliedMissing: it is live, and the database does not stand where it should.
        RescueError: the platform, or the database, cannot be asked.
    """
    before = waiting.stands_now(project, "heads", only=only)
    if render is not None:
        place = deployment.on_render(render, told, project.secrets, pace)
        files = [*map(Path, project.loaded.locations), project.loaded.env]
        ended = place.carried_out(files, follow, mode, confirm)
    elif hook is not None:
        there = all(one.there for one in before)
        ended = deployment.by_hook(hook, hook_method, project.secrets, there_before=there, confirm=confirm)
    else:
        raise errors.NoPlatform
    try:
        if ended.failed:
            raise _failed(project, ended, only=only, folder=folder)
        report = waiting.until_there(project, "heads", timeout=timeout, interval=waiting.INTERVAL, only=only, told=seen)
        report = waiting.proved(report, rescue.diagnose_applied(project, only=only, folder=folder))
    except RescueError as error:
        if error.report is None:
            raise
        report = error.report = replace(error.report, command="redeploy", deployment=ended.deployed)
        if not isinstance(error, errors.NothingProved):
            raise
    except KeyboardInterrupt:
        raise deployment.interrupted_after(ended) from None
    return replace(report, command="redeploy", outcome=Outcome.DEPLOYED, deployment=ended.deployed)


def _failed(project: Project, ended: deployment.Ended, **where: Any) -> errors.DeploymentFailed:
    """The failure of a deployment, with the diagnosis from its log and the database."""
    deployed = ended.deployed
    error = errors.DeploymentFailed(deployed.id or deployed.service, deployed.status or "")
    try:
        error.report = rescue.diagnose(project, log=logs.of_lines(ended.log), **where)
    except RescueError as unseen:
        error.help = f"{error.help}. The database could not be looked at: {unseen.message}"
        error.report = Report("redeploy", Outcome.ERROR, None, (), ())
    return error
