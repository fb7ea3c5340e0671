"""One deployment: found, requested once, and followed to its end.  Start reading here."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from alembic_rescue import errors
from alembic_rescue.clock import CLOCK, Clock
from alembic_rescue.deploying import choosing
from alembic_rescue.deploying.following import Following, Told
from alembic_rescue.deploying.hook import METHODS, Hook
from alembic_rescue.deploying.http import may_pass
from alembic_rescue.deploying.render import Render, of_environment
from alembic_rescue.deploying.trigger import Trigger
from alembic_rescue.deploying.values import PACE, Choice, Deployment, Pace, Planned, Service, State
from alembic_rescue.errors import RescueError
from alembic_rescue.evidence.deployed import Deployed, Mode
from alembic_rescue.model import addressed
from alembic_rescue.redact import Secrets

Confirm = Callable[[Planned], bool]
"""Called with what is about to be triggered; only True goes on."""
_PAGES = 20
"""Pages of a log per look, because the platform limits requests."""
_LAST_PAGES = 100
"""Pages at the last look."""
_LONGEST_PAUSE = 60.0
_OVERTAKEN = frozenset([State.REPLACED, State.CANCELED])


@dataclass(frozen=True)
class Ended:
    """A deployment that has ended, or whose end nobody reports."""

    deployed: Deployed
    failed: bool = False
    log: Sequence[str] = ()
    """The log, if it failed."""

    @property
    def is_live(self) -> bool:
        """Whether the platform says that it is live."""
        return self.deployed.status is not None and not self.failed


def on_render(
    named: str, told: Callable[[Told], None], secrets: Secrets, pace: Pace, only: str | None = None
) -> OnRender:
    """The service with this name or id on Render.

    Raises:
        RescueError: see :func:`alembic_rescue.deploying.render.of_environment` and :meth:`Render.service`.
    """
    render = of_environment(secrets, told=lambda note: told(Told("", note=note)))
    return OnRender(render, render.service(named), told, secrets, pace, only=only)


@dataclass
class OnRender:
    """Deployments of one service on Render.

    Args:
        render: the platform.
        told: called with what is new.
        secrets: those of this run.
        only: the selected one of several databases, for the printed commands.
    """

    render: Render
    service: Service
    told: Callable[[Told], None]
    secrets: Secrets
    pace: Pace = PACE
    clock: Clock = CLOCK
    only: str | None = None
    files: Sequence[Path] = field(default=(), kw_only=True)
    """The folders and files on which migrations depend."""

    def command(self, asked: Mode | None) -> str:
        """The command that deploys it again, with the requested mode."""
        how = f" --{asked.value}" if asked else ""
        return addressed(f"alembic-rescue redeploy --render {shlex.quote(self.service.id)}{how}", self.only)

    def follow(self, deployment: str) -> str:
        """The command that follows a deployment again."""
        named = f"--follow {shlex.quote(deployment)} --render {shlex.quote(self.service.id)}"
        return addressed(f"alembic-rescue redeploy {named}", self.only)

    def carried_out(self, follow: str | None, asked: Mode | None, confirm: Confirm) -> Ended:
        """Trigger a deployment, or take the one to follow, and follow it to its end.

        Raises:
            RescueError: see :meth:`triggered` and :meth:`followed`.
        """
        if follow is not None:
            return self.followed(self.render.deployment(self.service, follow))
        return self.followed(*self.triggered(asked, confirm))

    def triggered(self, asked: Mode | None, confirm: Confirm) -> tuple[Deployment, Choice]:
        """Ask for confirmation, and trigger a deployment.

        Raises:
            ServiceSuspended, NotConfirmed: nothing was triggered.
            DeploymentNotKnown: it is unknown whether one was triggered, or which.
            RescueError: nothing was triggered.
        """
        service = self.service
        if service.suspended:
            raise errors.ServiceSuspended(f"{service.name} ({service.id})")
        choice = choosing.choose(service, self.render.recent(service), self.files, asked)
        if not confirm(Planned("render", f"{service.name} ({service.id})", service.branch, choice)):
            raise _not_confirmed()
        try:
            trigger = Trigger(self.render, service, self.follow, self._note, self.pace, self.clock)
            return trigger.once(choice.mode), choice
        except KeyboardInterrupt:
            raise _interrupted(
                "while the deployment was being requested; whether it was triggered is unknown"
            ) from None

    def followed(self, deployment: Deployment, choice: Choice | None = None) -> Ended:
        """Follow it to its end.

        Args:
            choice: how it was requested, if it was triggered just now.

        Raises:
            DeploymentSuperseded: a newer one replaced it before its end.
            DeploymentUnfinished: the time for following it is over.
            FollowingInterrupted, FollowingLost: Ctrl-C, or the platform does not answer; the deployment continues.
        """
        following = Following(deployment.created, self.secrets.hide, self.files)
        again = self.follow(deployment.id)
        try:
            if choice is not None:
                goes_on = f"Triggered {deployment.id}. It continues if this command ends. To follow it again:"
                self.told(Told("", note=goes_on, command=again))
            last = self._to_its_end(deployment, following, again)
            after = self._newer(last) if last.state in _OVERTAKEN else None
        except KeyboardInterrupt:
            raise errors.FollowingInterrupted(deployment.id, again) from None
        except errors.DeploymentUnfinished:
            raise
        except RescueError as lost:
            raise errors.FollowingLost(deployment.id, lost.message, again) from None
        done = Deployed(
            platform="render",
            service=self.service.name,
            service_id=self.service.id,
            id=last.id,
            status=last.status,
            commit=last.commit,
            mode=choice.mode if choice else None,
            why=choice.why if choice else "",
            superseded_by=after.id if after else None,
        )
        if last.state in {State.LIVE, State.REPLACED}:
            return Ended(done)
        if last.state is State.CANCELED and after is not None:
            raise errors.DeploymentSuperseded(last.id, after.id, self.follow(after.id))
        return Ended(replace(done, last_lines=following.last_lines), failed=True, log=following.log)

    def _to_its_end(self, deployment: Deployment, following: Following, again: str) -> Deployment:
        until = self.clock.now() + self.pace.longest
        readable = True
        while True:
            self.told(following.now(deployment))
            readable = readable and self._hear(following, _LAST_PAGES if deployment.ended else _PAGES)
            if deployment.ended:
                break
            if self.clock.now() >= until:
                raise errors.DeploymentUnfinished(deployment.id, deployment.status, self.pace.longest, again)
            deployment = self._next(deployment, until)
        if readable and deployment.state is not State.LIVE:
            self.clock.sleep(self.pace.last_lines)
            self._hear(following, _LAST_PAGES)
        if following.next is not None:
            self._tell(following.note("more", "The log has more lines than were read. The platform shows them all."))
        return deployment

    def _next(self, deployment: Deployment, until: float) -> Deployment:
        """Its state at the next look.  Retry a failed look, as long as the platform may recover."""
        pause = self.pace.of(deployment)
        until = min(until, self.clock.now() + self.pace.away)
        while True:
            self.clock.sleep(pause)
            try:
                return self.render.deployment(self.service, deployment.id)
            except RescueError as lost:
                passes = may_pass(lost) or isinstance(lost, errors.NoSuchDeployment)  # it existed a moment ago
                if not passes or self.clock.now() + pause > until:
                    raise
                pause = min(2 * pause, _LONGEST_PAUSE)
                self._note(f"{lost.message}; next try in {pause:.0f} s")

    def _newer(self, than: Deployment) -> Deployment | None:
        """The deployment that replaced it; None also if that is unknown."""
        try:
            return choosing.newer(than, self.render.recent(self.service))
        except RescueError:
            return None

    def _hear(self, following: Following, most: int) -> bool:
        """Read what is new in the log.  Return False if it cannot be read, however often it is tried."""
        start, end = following.next or (following.since, None)
        try:
            for _ in range(most):
                page = self.render.page(self.service, start, end)
                self._tell(following.heard(page.lines))
                following.next = page.next if page.next != (start, end) else None
                if following.next is None:
                    return True
                start, end = following.next
        except (errors.PlatformFailed, errors.PlatformRefused) as unread:
            self._tell(following.note("unread", f"The log cannot be read: {unread.message}"))
            return may_pass(unread)
        except errors.PlatformUnreachable:
            pass  # the next request, for its state, will report that
        return True

    def _note(self, sentence: str) -> None:
        self.told(Told("", note=sentence))

    def _tell(self, news: Sequence[Told]) -> None:
        for one in news:
            self.told(one)


@dataclass(frozen=True)
class ByHook:
    """Deployments by a hook, which does not report their outcome.

    Args:
        there_before: the database is already at the revision that the deployment should lead to.
    """

    hook: Hook
    only: str | None = None
    there_before: bool = False

    @property
    def command(self) -> str:
        """The command that deploys it again; the hook's URL stays in its variable."""
        how = "" if self.hook.method == METHODS[0] else f" --hook-method {self.hook.method}"
        return addressed(f"alembic-rescue redeploy{how}", self.only)

    def carried_out(self, confirm: Confirm) -> Ended:
        """Call the hook.

        Raises:
            NotConfirmed: it was not called.
            RescueError: see :class:`Hook`.
        """
        hook = self.hook
        if not confirm(Planned("hook", hook.shown)):
            raise _not_confirmed()
        try:
            found = hook.trigger()
        except KeyboardInterrupt:
            raise _interrupted(
                "while the hook was being called; whether it triggered a deployment is unknown"
            ) from None
        untold = "a hook does not report whether the service is live; check the platform"
        if self.there_before:
            untold = f"the database was already at its head, so it says nothing about the deployment; {untold}"
        return Ended(Deployed(platform="hook", service=hook.shown, id=found, untold=untold))


def check(render: str | None, hook: str | None, method: str, secrets: Secrets) -> None:
    """Refuse unusable settings at once, without a request.

    Raises:
        PlatformKeyMissing, BadPlatformUrl, BadUsage: see :class:`Hook` and ``of_environment``.
    """
    if render is not None:
        of_environment(secrets)
    elif hook is not None:
        Hook(hook, method, secrets)


def interrupted_after(ended: Ended, only: str | None) -> errors.Interrupted:
    """The error for a Ctrl-C after the deployment had ended."""
    what = ended.deployed.id or f"the deployment by {ended.deployed.service}"
    done = "failed and was not diagnosed" if ended.failed else ("is done; the database was still being inspected")
    error = errors.Interrupted(f"{what} {done}")
    then = "alembic-rescue diagnose" if ended.failed else addressed("alembic-rescue wait --applied", only)
    error.help = f"continue with: `{then}`"
    return error


def _interrupted(when: str) -> errors.Interrupted:
    error = errors.Interrupted(when)
    error.help = "check the platform's list of deployments before you redeploy"
    return error


def _not_confirmed() -> errors.NotConfirmed:
    error = errors.NotConfirmed()
    error.message = "not confirmed; nothing was triggered"
    return error
