"""Request a deployment once.  If the answer does not identify it, look for it in the platform's list."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from alembic_rescue import errors
from alembic_rescue.clock import Clock
from alembic_rescue.deploying.http import may_be_done
from alembic_rescue.deploying.render import Render
from alembic_rescue.deploying.sending import Unanswered
from alembic_rescue.deploying.values import Deployment, Pace, Service
from alembic_rescue.errors import RescueError
from alembic_rescue.evidence.deployed import Mode

_BY_THE_API = "api"


@dataclass(frozen=True)
class Trigger:
    """Requests a deployment of one service.

    Args:
        follow: returns the command that follows a deployment, given its id.
        note: called with remarks.
    """

    render: Render
    service: Service
    follow: Callable[[str], str]
    note: Callable[[str], None]
    pace: Pace
    clock: Clock

    def once(self, mode: Mode) -> Deployment:
        """Request it once.

        Raises:
            DeploymentNotKnown: it is unknown whether one was triggered, or which.
            RescueError: none was triggered.
        """
        known = {one.id for one in self.render.recent(self.service)}
        try:
            found = self.render.trigger(self.service, mode)
        except (Unanswered, errors.PlatformElsewhere) as lost:
            return self._looked_up(known, str(lost))
        except errors.PlatformFailed as failed:
            if not may_be_done(failed.status):  # refused: nothing was triggered
                raise
            return self._looked_up(known, f"HTTP {failed.status}")
        return found or self._looked_up(known, "it accepted the request without giving the id")

    def _looked_up(self, known: Collection[str], reason: str) -> Deployment:
        """Find the triggered deployment in the platform's list."""
        self.note(
            f"The deployment's id is unknown ({reason}). Searching the list for up to {self.pace.queue_longest:g} s"
        )
        try:
            found = self._new(known)
        except RescueError as unseen:
            raise self._not_known(f"{reason}; and {unseen.message}", ()) from None
        ours = [one for one in found if _may_be_ours(one)]
        if len(ours) == 1:
            self.note(f"{ours[0].id} is new in the list and was triggered by the API, so this is it")
            return ours[0]
        if not found:
            raise self._not_known(f"{reason}, and none appeared in the list within {self.pace.queue_longest:g} s", ())
        told = errors.listed(f"{one.id} ({one.trigger or 'trigger unknown'})" for one in found)
        raise self._not_known(f"{reason}. New in the list: {told}. It may be one of these, or none", found)

    def _new(self, known: Collection[str]) -> list[Deployment]:
        """The new deployments in the list, oldest first.

        Wait a moment after the first candidate, because another one may be listed by then.
        """
        until = self.clock.now() + self.pace.queue_longest
        while True:
            found = self._listed(known)
            if any(map(_may_be_ours, found)):
                self.clock.sleep(self.pace.queue)
                return self._listed(known) or found
            if self.clock.now() >= until:
                return found
            self.clock.sleep(self.pace.queue)

    def _listed(self, known: Collection[str]) -> list[Deployment]:
        queued = self.render.recent(self.service, status="queued")  # a new deployment is listed here first
        both = {one.id: one for one in (*queued, *self.render.recent(self.service)) if one.id not in known}
        return sorted(both.values(), key=lambda one: one.created)

    def _not_known(self, reason: str, found: Collection[Deployment]) -> errors.DeploymentNotKnown:
        follow = [self.follow(one.id) for one in found] or [self.follow("dep-...")]
        return errors.DeploymentNotKnown(self.render.client.host, reason, follow, is_listed=bool(found))


def _may_be_ours(deployment: Deployment) -> bool:
    return deployment.trigger in {_BY_THE_API, ""}
