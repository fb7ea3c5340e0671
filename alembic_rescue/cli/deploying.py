"""The commands that end with a live deployment."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from alembic_rescue import errors
from alembic_rescue.cli.arguments import LockTimeout, Only, WaitTimeout, Yes, is_typed, seconds
from alembic_rescue.cli.asking import deploying_agreed, terminal_or_yes
from alembic_rescue.cli.call import COMMAND, Call, Format, answer_report, working

if TYPE_CHECKING:
    from alembic_rescue.cli.progress import Shown
    from alembic_rescue.deploying.following import Told
    from alembic_rescue.deploying.values import Planned
    from alembic_rescue.model import Action


def wait(
    ctx: typer.Context,
    revision: Annotated[
        str, typer.Argument(metavar="[REVISION]", help="As for alembic upgrade, except relative ones (+1).")
    ] = "heads",
    timeout: WaitTimeout = 600,
    interval: Annotated[
        float,
        typer.Option(
            "--interval",
            metavar="SECONDS",
            envvar="ALEMBIC_RESCUE_INTERVAL",
            callback=seconds,
            help="Pause between two checks.",
        ),
    ] = 2,
    applied: Annotated[
        bool,
        typer.Option(
            "--applied",
            envvar="ALEMBIC_RESCUE_APPLIED",
            help="At the end, verify the applied revisions. Exit with 3 if something is missing.",
        ),
    ] = False,
    only: Only = None,
    lock_timeout: LockTimeout = None,
) -> None:
    """Wait until the database is at a revision, or past it.

    Waits for a server that restarts or is not up yet, but not after a wrong password. Holds no lock. Writes nothing.
    """
    from alembic_rescue import rescue
    from alembic_rescue.cli.waiting import Watch

    call: Call = ctx.obj
    project = call.load(lock_timeout)
    folder = call.receipt_folder(project.settings)
    with Watch(call.tell, color=call.color) as watch:
        report = rescue.wait(project, revision, timeout=timeout, interval=interval, only=only, told=watch.take)
    if applied:
        with working(call, "Verifying the applied revisions") as shown:
            project.hear = shown.hear
            try:
                report = rescue.prove_reached(project, report, only=only, folder=folder)
            except errors.Refusal as not_there:
                shown.stop()
                if call.format is not Format.JSON and not_there.report is not None:
                    from alembic_rescue.report import text

                    call.answer(text.diagnosis(not_there.report, **call.style(sys.stdout)))
                raise
    if call.format is Format.JSON:
        answer_report(call, report)
    else:
        from alembic_rescue.report import waiting

        call.answer(waiting.reached(report, **call.style(sys.stdout), is_proved=applied))


def redeploy(
    ctx: typer.Context,
    render: Annotated[
        Optional[str],
        typer.Option(
            "--render",
            metavar="SERVICE",
            envvar="ALEMBIC_RESCUE_RENDER",
            help="The Render service, by exact name or id (srv-...). The key comes from RENDER_API_KEY.",
        ),
    ] = None,
    hook: Annotated[
        Optional[str],
        typer.Option(
            "--hook",
            metavar="URL",
            envvar="ALEMBIC_RESCUE_DEPLOY_HOOK",
            help="Instead of --render, a deploy hook. It is a secret, so use the variable: other users can "
            "see a process's arguments.",
        ),
    ] = None,
    hook_method: Annotated[
        str,
        typer.Option(
            "--hook-method",
            metavar="POST|GET",
            envvar="ALEMBIC_RESCUE_HOOK_METHOD",
            help="HTTP method for the hook.",
        ),
    ] = "POST",
    build: Annotated[
        bool,
        typer.Option("--build", envvar="ALEMBIC_RESCUE_BUILD", help="Build the branch's latest commit and deploy it."),
    ] = False,
    deploy_only: Annotated[
        bool,
        typer.Option(
            "--deploy-only",
            envvar="ALEMBIC_RESCUE_DEPLOY_ONLY",
            help="Deploy the last build again. By default, the tool chooses and says why.",
        ),
    ] = False,
    follow: Annotated[
        Optional[str],
        typer.Option(
            "--follow",
            metavar="DEPLOYMENT",
            envvar="ALEMBIC_RESCUE_FOLLOW",
            help="Follow this deployment (dep-...) and trigger nothing.",
        ),
    ] = None,
    logs: Annotated[
        bool,
        typer.Option(
            "--logs",
            envvar="ALEMBIC_RESCUE_LOGS",
            help="Show the deployment's whole log, not only migrations and errors.",
        ),
    ] = False,
    despite: Annotated[
        Optional[list[str]],
        typer.Option(
            "--despite",
            metavar="ADVICE",
            help="Deploy although diagnose recommends this: stamp, complete, repair, stop or rerun. Repeatable.",
        ),
    ] = None,
    timeout: Annotated[
        Optional[float],
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            envvar="ALEMBIC_RESCUE_TIMEOUT",
            help="Give up waiting for the database after this time, a week at most, once the service is live.",
            show_default="60; 600 with a hook",
        ),
    ] = None,
    yes: Yes = False,
    only: Only = None,
    lock_timeout: LockTimeout = None,
) -> None:
    """Deploy again, follow it until it is live, and verify the database.

    Looks at the database first, and deploys only if nothing has to be recovered before. Asks first.
    """
    import alembic_rescue
    from alembic_rescue.cli.following import Follow
    from alembic_rescue.cli.waiting import Watch
    from alembic_rescue.deploying import deployment as deployments
    from alembic_rescue.deploying import hook as hooks
    from alembic_rescue.evidence.deployed import Mode

    call: Call = ctx.obj
    if hook:
        hooks.remember(hook, call.secrets)
    against = _actions(despite or ())
    if build and deploy_only:
        raise errors.BadUsage("--build and --deploy-only contradict each other: use only one of them")
    if render or hook:  # before any question or loading
        render, hook = _one_of(ctx, render, hook)
        deployments.check(render, hook, hook_method.upper(), call.secrets)
    project = call.load(lock_timeout, yes=yes)
    if not (render or hook):
        render, hook = _configured(project.settings)
        deployments.check(render, hook, hook_method.upper(), call.secrets)
    given = {"follow": follow, "build": build, "deploy_only": deploy_only, "despite": despite, "logs": logs}
    _without_effect(given, hook=hook, follow=follow)
    if follow is None:
        terminal_or_yes(f"{COMMAND} redeploy", f"{COMMAND} diagnose", yes=yes)
    with ExitStack() as around:
        shown = around.enter_context(Follow(call.tell, color=call.color, all_lines=logs))
        watch = around.enter_context(Watch(call.tell, color=call.color))
        looking = around.enter_context(working(call, "Inspecting the database"))
        project.hear = looking.hear

        def looked() -> None:
            looking.stop()
            project.hear = _when_heard(call, around, "Verifying the applied revisions")

        try:
            report = alembic_rescue.redeploy(
                project,
                render=render,
                hook=hook,
                hook_method=hook_method.upper(),
                follow=follow,
                mode=Mode.BUILD if build else Mode.DEPLOY_ONLY if deploy_only else None,
                despite=against,
                confirm=_confirming(call, looked, yes=yes),
                timeout=timeout,
                only=only,
                folder=call.receipt_folder(project.settings),
                told=_after(looked, shown.take),
                seen=watch.after(shown.stop),
            )
        except errors.RescueError as failed:
            around.close()
            _tell_failure(call, failed, shown.has_shown)
            raise
    if call.format is Format.JSON:
        answer_report(call, report)
    else:
        from alembic_rescue.report import deployment

        call.answer(deployment.deployed(report, **call.style(sys.stdout)))


# --- parts -------------------------------------------------------------------------------------------------------


def _one_of(ctx: typer.Context, render: str | None, hook: str | None) -> tuple[str | None, str | None]:
    """The service or the hook; an option overrides variables."""
    if not (render and hook):
        return render, hook
    typed = [name for name in ("render", "hook") if is_typed(ctx, name)]
    if len(typed) != 1:
        raise errors.BadUsage("--render and --hook cannot be combined: use only one of them")
    return (render, None) if typed == ["render"] else (None, hook)


def _configured(settings: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The configured service or hook."""
    from alembic_rescue.deploying import settings as configured

    if service := configured.service(settings):
        return service, None
    if variable := configured.hook_variable(settings):
        if not (url := os.environ.get(variable, "").strip()):
            raise errors.BadConfig(
                "[alembic_rescue]", f"deploy_hook refers to the variable {variable}, which is not set"
            )
        return None, url
    raise errors.NoPlatform


def _without_effect(given: Mapping[str, object], *, hook: str | None, follow: str | None) -> None:
    """Refuse options that have no effect with a hook, or when following a deployment."""
    named = [f"--{name.replace('_', '-')}" for name, value in given.items() if value]
    if hook and (idle := [one for one in named if one != "--despite"]):
        raise errors.BadUsage(
            "a hook takes no options and reports nothing about the deployment: omit "
            f"{errors.listed(idle)}, or use --render SERVICE"
        )
    if follow and (idle := [one for one in named if one not in {"--follow", "--logs"}]):
        raise errors.BadUsage(f"--follow triggers no deployment: omit {errors.listed(idle)}")


def _actions(named: Sequence[str]) -> list[Action]:
    from alembic_rescue.model import Action

    try:
        return [Action(one) for one in named]
    except ValueError:
        known = errors.listed(one.value for one in Action if one is not Action.NOTHING)
        raise errors.BadUsage(f"--despite takes one of diagnose's recommendations: {known}") from None


def _confirming(call: Call, looked: Callable[[], None], *, yes: bool) -> Callable[[Planned], bool]:
    def confirm(planned: Planned) -> bool:
        from alembic_rescue.report import deployment

        looked()
        call.tell(deployment.planned(planned, **call.style(sys.stderr)))
        return yes or deploying_agreed(call)

    return confirm


def _after(first: Callable[[], None], then: Callable[[Told], None]) -> Callable[[Told], None]:
    def take(told: Told) -> None:
        first()
        then(told)

    return take


def _when_heard(call: Call, around: ExitStack, doing: str) -> Callable[[Any], None]:
    """Show long work once it reports progress; until then the terminal is free for others."""
    shown: list[Shown] = []

    def hear(said: Any) -> None:
        if not shown:
            shown.append(around.enter_context(working(call, doing)))
        shown[0].hear(said)

    return hear


def _tell_failure(call: Call, failed: errors.RescueError, already: Callable[[str], bool]) -> None:
    """Print what belongs to an error besides its message: the diagnosis, and the command to continue with.

    The command gets its own line.

    Args:
        already: whether a line of the log was shown.
    """
    from alembic_rescue.report import deployment, text

    report = failed.report
    if isinstance(failed, errors.NotReady) and report is not None and call.format is not Format.JSON:
        call.answer(text.diagnosis(report, **call.style(sys.stdout)))
    elif report is not None and report.deployment is not None and call.format is not Format.JSON:
        if isinstance(failed, errors.DeploymentFailed):
            call.answer(deployment.failed(report, **call.style(sys.stdout), already=already))
        else:
            call.tell(deployment.ended(report.deployment, **call.style(sys.stderr)))
            if isinstance(failed, errors.AppliedMissing):
                call.answer(text.diagnosis(report, **call.style(sys.stdout)))
    follow = getattr(failed, "follow", "")
    for command in [follow] if isinstance(follow, str) else follow:
        if command and "..." not in command:
            call.tell(f"{command}\n")
