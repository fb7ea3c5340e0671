"""One deployment: found, asked for once, and followed to its end.  Read this module as the story."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from alembic_rescue import errors
from alembic_rescue.clock import CLOCK, Clock
from alembic_rescue.deploying import choosing
from alembic_rescue.deploying.following import Following, Told
from alembic_rescue.deploying.hook import Hook
from alembic_rescue.deploying.http import Unanswered
from alembic_rescue.deploying.render import Render, of_environment
from alembic_rescue.deploying.values import PACE, Choice, Deployment, Pace, Planned, Service, State
from alembic_rescue.errors import RescueError
from alembic_rescue.evidence.deployed import Deployed, Mode
from alembic_rescue.redact import Secrets

Confirm = Callable[[Planned], bool]
"""Shown what is to be triggered; only True goes on."""
_TRIGGERED_BY_US = "api"
_TIMED_OUT, _SERVER = 408, 500
_MOST_PAGES = 50
"""Of a log, at one look."""


@dataclass(frozen=True)
class Ended:
    """A deployment that has ended, or of which nobody tells the end."""

    deployed: Deployed
    failed: bool = False
    log: Sequence[str] = ()
    """Where it failed."""


def on_render(named: str, told: Callable[[Told], None], secrets: Secrets, pace: Pace) -> OnRender:
    """The service of this name, or id, on Render.

    Raises:
        RescueError: see :func:`alembic_rescue.deploying.render.of_environment` and :meth:`Render.service`.
    """
    render = of_environment(secrets)
    return OnRender(render, render.service(named), told, secrets, pace)


@dataclass
class OnRender:
    """Deployments of one service on Render.

    Args:
        render: the platform.
        told: takes what is new.
        secrets: the run's.
    """

    render: Render
    service: Service
    told: Callable[[Told], None]
    secrets: Secrets
    pace: Pace = PACE
    clock: Clock = CLOCK

    def carried_out(self, files: Sequence[Path], follow: str | None, asked: Mode | None, confirm: Confirm) -> Ended:
        """Trigger one, or take up the one that is to be followed, and follow it to its end.

        Raises:
            RescueError: see :meth:`triggered` and :meth:`followed`.
        """
        if follow is not None:
            return self.followed(self.render.deployment(self.service, follow))
        return self.followed(*self.triggered(files, asked, confirm))

    def triggered(self, files: Sequence[Path], asked: Mode | None, confirm: Confirm) -> tuple[Deployment, Choice]:
        """Ask, and trigger one.

        Args:
            files: the folders and files on which migrations depend.

        Raises:
            ServiceSuspended, NotConfirmed: nothing was triggered.
            DeploymentNotKnown: whether one was is not known.
            RescueError: nothing was triggered.
        """
        service = self.service
        if service.suspended:
            raise errors.ServiceSuspended(f"{service.name} ({service.id})")
        before = self.render.recent(service)
        choice = choosing.choose(service, before, files, asked)
        if not confirm(Planned("render", f"{service.name} ({service.id})", service.branch, choice)):
            raise _not_confirmed()
        known = {one.id for one in self.render.recent(service)}
        try:
            return self._once(choice.mode, known), choice
        except KeyboardInterrupt:
            interrupted = errors.Interrupted(
                "while the deployment was asked for: whether it was triggered is not known"
            )
            interrupted.help = "look at the platform's list of deployments before you redeploy"
            raise interrupted from None

    def _once(self, mode: Mode, known: set[str]) -> Deployment:
        """Ask for it once; where the answer does not tell which it is, look it up."""
        try:
            found = self.render.trigger(self.service, mode)
        except (Unanswered, errors.PlatformElsewhere) as lost:
            return self._looked_up(known, str(lost))
        except errors.PlatformFailed as failed:
            if failed.status < _SERVER and failed.status != _TIMED_OUT:  # refused: nothing was triggered
                raise
            return self._looked_up(known, f"HTTP {failed.status}")
        return found or self._looked_up(known, "it accepted the request without a word of its id", accepted=True)

    def _looked_up(self, known: set[str], reason: str, *, accepted: bool = False) -> Deployment:
        """The one that was triggered, by the platform's list.

        Raises:
            DeploymentNotKnown: it does not stand there.
        """
        host = self.render.client.host
        try:
            found = self._new(known, accepted=accepted)
        except errors.DeploymentNotKnown:
            raise
        except RescueError as unseen:
            raise errors.DeploymentNotKnown(host, f"{reason}; and {unseen.message}") from None
        if found is None:
            raise errors.DeploymentNotKnown(host, f"{reason}, and none is listed within {self.pace.queue_longest:g} s")
        if not accepted:
            self.told(Told(found.status, f"no answer ({reason}); {found.id} is new in the list, and is taken for it"))
        return found

    def _new(self, known: set[str], *, accepted: bool) -> Deployment | None:
        """The new deployment in the platform's list, as soon as it stands there.

        Args:
            accepted: there will be one; else only one counts that was triggered through the API.

        Raises:
            DeploymentNotKnown: there are several.
        """
        until = self.clock.now() + self.pace.queue_longest
        while True:
            queued = self.render.recent(self.service, status="queued", limit=1) if accepted else ()
            listed = [one for one in queued if one.id not in known] or [
                one for one in self.render.recent(self.service) if one.id not in known
            ]
            fitting = [one for one in listed if accepted or one.trigger in {_TRIGGERED_BY_US, ""}]
            if len(fitting) > 1:
                new = errors.listed(one.id for one in fitting)
                raise errors.DeploymentNotKnown(
                    self.render.client.host, f"{new} are new, and it is one of them or none"
                )
            if fitting:
                return fitting[0]
            if self.clock.now() >= until:
                return None
            self.clock.sleep(self.pace.queue)

    def followed(self, deployment: Deployment, choice: Choice | None = None) -> Ended:
        """Follow it to its end.

        Raises:
            DeploymentSuperseded: a newer one took its place before.
            DeploymentUnfinished: it is followed no longer.
            FollowingInterrupted, FollowingLost: by a Ctrl-C, or for want of the platform; it goes on.
        """
        following = Following(deployment.created, self.secrets.hide)
        again = follow_command(self.service.id, deployment.id)
        try:
            last = self._to_its_end(deployment, following, again)
            after = choosing.newer(last, self.render.recent(self.service)) if last.state in _OVERTAKEN else None
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
            raise errors.DeploymentSuperseded(last.id, after.id, follow_command(self.service.id, after.id))
        return Ended(replace(done, last_lines=following.last_lines), failed=True, log=following.log)

    def _to_its_end(self, deployment: Deployment, following: Following, again: str) -> Deployment:
        until = self.clock.now() + self.pace.longest
        readable = True
        while True:
            self.told(following.now(deployment))
            readable = readable and self._hear(following)
            if deployment.ended:
                break
            if self.clock.now() >= until:
                raise errors.DeploymentUnfinished(deployment.id, deployment.status, self.pace.longest, again)
            self.clock.sleep(self.pace.of(deployment))
            deployment = self.render.deployment(self.service, deployment.id)
        if readable and deployment.state is not State.LIVE:
            self.clock.sleep(self.pace.last_lines)
            self._hear(following)
        return deployment

    def _hear(self, following: Following) -> bool:
        """Read what is new in the log; False where it cannot be read, however often one asks."""
        start, end = following.since, None
        try:
            for _ in range(_MOST_PAGES):
                page = self.render.page(self.service, start, end)
                self._tell(following.heard(page.lines))
                if page.next is None:
                    return True
                start, end = page.next
        except (errors.PlatformFailed, errors.PlatformRefused) as unread:
            self._tell(following.unread(f"the log cannot be read: {unread.message}"))
            return unread.status >= _SERVER
        except errors.PlatformUnreachable:
            pass  # the next question is for its state, and tells
        return True

    def _tell(self, news: Sequence[Told]) -> None:
        for one in news:
            self.told(one)


def by_hook(url: str, method: str, secrets: Secrets, *, there_before: bool, confirm: Confirm) -> Ended:
    """Call a hook.  What becomes of the deployment, it does not tell.

    Args:
        there_before: the database stands already where the deployment is to lead.

    Raises:
        NotConfirmed: it was not called.
        RescueError: see :class:`Hook`.
    """
    hook = Hook(url, method, secrets)
    if not confirm(Planned("hook", hook.host)):
        raise _not_confirmed()
    try:
        found = hook.trigger()
    except KeyboardInterrupt:
        raise errors.Interrupted("while the hook was called: whether it triggered a deployment is not known") from None
    untold = "whether the service is live, a hook does not tell: look at the platform"
    if there_before:
        untold = f"the database stood at its head before, so that it tells nothing of the deployment; {untold}"
    return Ended(Deployed(platform="hook", service=hook.host, id=found, untold=untold))


def interrupted_after(ended: Ended) -> errors.Interrupted:
    """A Ctrl-C once the deployment had ended."""
    what = ended.deployed.id or f"the deployment by {ended.deployed.service}"
    done = "failed, and was not diagnosed" if ended.failed else "is done; the database was still looked at"
    error = errors.Interrupted(f"{what} {done}")
    error.help = "go on with: alembic-rescue diagnose" if ended.failed else "go on with: alembic-rescue wait --applied"
    return error


def _not_confirmed() -> errors.NotConfirmed:
    error = errors.NotConfirmed()
    error.message = "not confirmed; nothing was triggered"
    return error


_OVERTAKEN = frozenset([State.REPLACED, State.CANCELED])


def follow_command(service: str, deployment: str) -> str:
    """What follows a deployment again."""
    return f"alembic-rescue redeploy --follow {deployment} --render {service}"
