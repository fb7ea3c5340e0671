"""The command :func:`redeploy`: from a repaired database to a live service, and a chain at its head.

platform -> database -> deployment -> its end -> the database, or the diagnosis.  Nothing here prints.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from alembic_rescue import errors, rescue, waiting
from alembic_rescue.client import Project, silent
from alembic_rescue.deploying import deployment
from alembic_rescue.deploying.following import Told
from alembic_rescue.deploying.hook import Hook
from alembic_rescue.deploying.values import PACE, Pace, Planned
from alembic_rescue.errors import RescueError
from alembic_rescue.evidence.deployed import Mode
from alembic_rescue.model import Action, DatabaseReport, Outcome, Report
from alembic_rescue.records import logs

LIVE_TIMEOUT = 60.0
"""Seconds for the database once a platform says that the service is live.  The migrations of a pre-deploy command, and
those that run before a web server listens, have finished by then.  The rest is for those that a worker runs when it
starts."""


def redeploy(
    project: Project,
    *,
    confirm: deployment.Confirm,
    render: str | None = None,
    hook: str | None = None,
    hook_method: str = "POST",
    follow: str | None = None,
    mode: Mode | None = None,
    despite: Collection[Action] = (),
    timeout: float | None = None,
    only: str | None = None,
    folder: Path | None = None,
    told: Callable[[Told], None] = silent,
    seen: Callable[[waiting.Seen], None] = waiting.nobody,
    pace: Pace = PACE,
) -> Report:
    """Deploy again, follow the deployment to its end, and prove that the database is then at its heads.

    Nothing is triggered twice, or where :func:`diagnose` recommends something else first.

    Args:
        confirm: called with what is about to be triggered; decides.
        render: a service on Render, by its exact name or its id; the key is taken from RENDER_API_KEY.
        hook: instead, the URL of a deploy hook.  A hook reports no state: success is the database at its heads.
        hook_method: ``POST`` or ``GET``.
        follow: the id of a running deployment on Render; nothing is triggered then.
        mode: whether to build; None decides by what git says of the last build.
        despite: deploy although the diagnosis recommends one of these.
        timeout: how many seconds to wait for the database, once the service is live; None: LIVE_TIMEOUT, or
            waiting.TIMEOUT after a hook, which does not say when the service is live.  A week at most.
        told: called with what is new of the deployment.
        seen: called with what each look at the database saw.
        pace: how often to query the platform.

    Returns:
        A report whose outcome is DEPLOYED.  A recommendation other than NOTHING says why what counts as applied is not
        proved.

    Raises:
        BadUsage, NoPlatform, PlatformKeyMissing, BadPlatformUrl, NoSuchService, AmbiguousService: nothing was
            triggered.
        NotReady, ServiceSuspended, NotConfirmed: nothing was triggered.
        DeploymentNotKnown: it is unknown whether something was triggered, or which deployment it is.
        DeploymentFailed: it did not go live; its report is the diagnosis, from the log and the database.
        DeploymentSuperseded, DeploymentUnfinished: it is not known to have gone live.
        FollowingInterrupted, FollowingLost: the deployment continues.
        SchemaBehind, WaitTimedOut, AppliedMissing: it is live, but the database is not where it should be.
        RescueError: the platform or the database cannot be reached.
    """
    waiting.check(timeout or 0.0)
    where: dict[str, Any] = {"only": only, "folder": folder}

    def shown(databases: tuple[DatabaseReport, ...]) -> deployment.Confirm:
        def confirmed(planned: Planned) -> bool:
            return confirm(replace(planned, databases=databases))

        return confirmed

    if render is not None:
        place = deployment.on_render(render, told, project.secrets, pace, only)
        place.files = [*map(Path, project.loaded.locations), project.loaded.env]
        before = () if follow is not None else _ready(project, place.command(mode), despite, **where)
        ended = place.carried_out(follow, mode, shown(before))
    elif hook is not None:
        calls = Hook(hook, hook_method, project.secrets, told=lambda note: told(Told("", note=note)))
        by_hook = deployment.ByHook(calls, only)
        before = _ready(project, by_hook.command, despite, **where)
        there = not any(part.pending_after for part in before)
        ended = replace(by_hook, there_before=there).carried_out(shown(before))
    else:
        raise errors.NoPlatform
    try:
        if ended.failed:
            raise _failed(project, ended, **where)
        report = _reached(project, ended, timeout, only, told, seen)
        report = waiting.proved(report, rescue.diagnose_applied(project, **where))
    except RescueError as error:
        if error.report is None:
            raise
        report = error.report = replace(error.report, command="redeploy", deployment=ended.deployed)
        if not isinstance(error, errors.NothingProved):
            raise
    except KeyboardInterrupt:
        raise deployment.interrupted_after(ended, only) from None
    return replace(report, command="redeploy", outcome=Outcome.DEPLOYED, deployment=ended.deployed)


def _ready(project: Project, command: str, despite: Collection[Action], **where: Any) -> tuple[DatabaseReport, ...]:
    """The databases, if nothing has to be done before a deployment, or a person has accepted what is.

    Args:
        command: the command that deploys.

    Raises:
        NotReady: see there; its report is the diagnosis.
        RescueError: as :func:`alembic_rescue.rescue.diagnose`.
    """
    report = rescue.diagnose(project, **where)
    first = [part for part in report.databases if not _upgrades(part)]
    refused = [part for part in first if part.recommendation.action not in despite]
    if refused:
        advice = refused[0].recommendation
        accepted = dict.fromkeys(f"--despite {part.recommendation.action.value}" for part in first)
        error = errors.NotReady(
            refused[0].database.identity.name,
            advice.reason,
            "" if advice.steps else advice.command or "",
            " ".join([command, *accepted]),
        )
        error.report = replace(report, command="redeploy", outcome=Outcome.REFUSED)
        raise error
    return report.databases


def _upgrades(part: DatabaseReport) -> bool:
    """Whether the next thing to do is an upgrade, as a deployment runs it, and not one that is sure to fail."""
    advice = part.recommendation
    if advice.action is Action.NOTHING:
        return True
    return advice.upgrades and not any(one.fails and one.aborts and not one.without_rows for one in part.causes)


def _reached(
    project: Project,
    ended: deployment.Ended,
    timeout: float | None,
    only: str | None,
    told: Callable[[Told], None],
    seen: Callable[[waiting.Seen], None],
) -> Report:
    """The report once each database is at its heads.

    Raises:
        SchemaBehind: one is not, after a deployment that is live.
        WaitTimedOut: one is not, after a hook.
        RescueError: see :func:`alembic_rescue.waiting.until_there`.
    """
    deployed, longest = ended.deployed, _longest(ended, timeout)
    behind: list[waiting.Seen] = []

    def see(now: waiting.Seen) -> None:
        if ended.is_live and now.standings and not now.there and not behind:
            behind.append(now)
            told(Told(deployed.status or "", note=_behind(deployed.service, longest), command="alembic upgrade heads"))
        seen(now)

    try:
        return waiting.until_there(project, "heads", timeout=longest, interval=waiting.INTERVAL, only=only, told=see)
    except errors.WaitTimedOut as late:
        if not ended.is_live or not late.where:
            raise
        error = errors.SchemaBehind(deployed.service, late.seconds, late.where, late.away)
        error.report, error.blockers = late.report, late.blockers
        raise error from None


def _longest(ended: deployment.Ended, asked: float | None) -> float:
    """Seconds to wait for the database."""
    if asked is not None:
        return asked
    return LIVE_TIMEOUT if ended.is_live else waiting.TIMEOUT


def _behind(service: str, seconds: float) -> str:
    return (
        f"{service} is live, and its new code runs on the old schema. A pre-deploy command would have "
        f"upgraded the database first. Waiting another {seconds:g} s for the database. To upgrade it now:"
    )


def _failed(project: Project, ended: deployment.Ended, **where: Any) -> errors.DeploymentFailed:
    """The error for a failed deployment, with the diagnosis from its log and the database."""
    deployed = ended.deployed
    error = errors.DeploymentFailed(deployed.id or deployed.service, deployed.status or "")
    try:
        error.report = rescue.diagnose(project, log=logs.of_lines(ended.log), **where)
    except RescueError as unseen:
        error.help = f"{error.help}. The database could not be inspected: {unseen.message}"
        error.report = Report("redeploy", Outcome.ERROR, None, (), ())
    return error
