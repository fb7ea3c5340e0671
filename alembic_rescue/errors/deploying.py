"""What can go wrong between a repaired database and a live deployment."""

from __future__ import annotations

from collections.abc import Sequence

from alembic_rescue.errors.base import (
    DATABASE,
    INTERRUPTED,
    NOT_VERIFIED,
    DatabaseError,
    Refusal,
    RescueError,
    Text,
    UsageError,
)
from alembic_rescue.errors.words import code, listed
from alembic_rescue.evidence.sentences import sentence


class WaitTimedOut(DatabaseError):
    """The databases did not reach the target in time."""

    code = "wait-timeout"
    seconds: float
    where: Sequence[str]
    """Where each database is that has not arrived, as of the last look that reached it."""
    away: str = ""
    """Why they cannot be reached now."""

    def _text(self) -> Text:
        seen = [*([self.away] if self.away else []), *([listed(self.where)] if self.where else [])]
        return Text(
            f"waited for {self.seconds:g} s: {'; last seen: '.join(seen)}",
            "to see what blocks it: `alembic-rescue diagnose`"
            if self.where
            else "check that the server is running and that this is its address",
        )


class SchemaBehind(DatabaseError):
    """The service is live, but the database is not at the revision that its code expects."""

    code = "schema-behind"
    service: str
    seconds: float
    where: Sequence[str]
    away: str = ""

    def _text(self) -> Text:
        return Text(
            f"{self.service} is live, so its new code runs on the old schema: {listed(self.where)}. Waited "
            f"{self.seconds:g} s{f'; last: {self.away}' if self.away else ''}",
            "upgrade it now: `alembic upgrade heads`. Then find out why the deployment did not: does the "
            "service have a pre-deploy command that upgrades this database?",
        )


class AppliedMissing(Refusal):
    """The rows say that something is applied, but it is missing."""

    code = "applied-missing"
    database: str
    what: str
    way_on: str

    def _text(self) -> Text:
        return Text(f"{self.database}: {self.what}", self.way_on)


class NothingProved(Refusal):
    """The rows say that something is applied, but none of it could be verified."""

    code = "nothing-proved"
    database: str
    why: str

    def _text(self) -> Text:
        return Text(
            f"the version table of {self.database} is at the right revision, but that is not proved: {self.why}",
            "to see why: `alembic-rescue diagnose --applied`",
        )


class NoPlatform(UsageError):
    """Nothing says what to deploy."""

    code = "no-platform"

    def _text(self) -> Text:
        return Text(
            "redeploy needs a service or a hook",
            "pass the Render service with `--render SERVICE`, or set ALEMBIC_RESCUE_DEPLOY_HOOK to a deploy "
            "hook's URL. To configure it permanently, set render_service or deploy_hook in [alembic_rescue]",
        )


class PlatformKeyMissing(UsageError):
    """The platform requires a key, and no usable key is set."""

    code = "platform-key-missing"
    variable: str

    def _text(self) -> Text:
        return Text(
            f"{self.variable} is not set, or is not a key",
            f"create an API key in your account settings on the platform, and set {self.variable} to it",
        )


class BadPlatformUrl(UsageError):
    """The URL of a platform or a hook cannot be used.  It is not shown, because it may be a secret."""

    code = "bad-platform-url"
    what: str
    reason: str

    def _text(self) -> Text:
        return Text(f"{self.what} cannot be used: {self.reason}", "use the URL as the platform shows it, with https://")


class NoSuchService(UsageError):
    """The platform has no service with this name for this key."""

    code = "no-such-service"
    service: str
    similar: Sequence[str]

    def _text(self) -> Text:
        there = f"; similar: {listed(self.similar)}" if self.similar else ""
        return Text(
            f"this key has no access to a service {self.service}{there}",
            "pass its exact name, or its id (srv-...) from the address of its page. A key sees only its "
            "own account's services",
        )


class AmbiguousService(UsageError):
    """Several services have this name."""

    code = "ambiguous-service"
    service: str
    ids: Sequence[str]

    def _text(self) -> Text:
        return Text(
            f"{len(self.ids)} services are named {self.service}: {listed(self.ids)}", "pass the id of the right one"
        )


class NoSuchDeployment(UsageError):
    """The service has no deployment with this id."""

    code = "no-such-deployment"
    deployment: str
    service: str

    def _text(self) -> Text:
        return Text(
            f"{self.service} has no deployment {self.deployment}",
            "pass the id (dep-...) shown by redeploy or by the platform's list of deployments",
        )


class ServiceSuspended(Refusal):
    """The service is suspended: a new deployment would not run."""

    code = "service-suspended"
    service: str

    def _text(self) -> Text:
        return Text(
            f"{self.service} is suspended; nothing was triggered", "resume it on the platform first, then redeploy"
        )


class NotReady(Refusal):
    """Something else has to be done first: the deployment would fail, or do harm."""

    code = "not-ready"
    database: str
    reason: str
    """From the recommendation."""
    command: str
    """What to run first; empty if that is no command."""
    despite: str
    """The command that deploys anyway."""

    def _text(self) -> Text:
        first = (
            f"run first: {code(self.command)}" if self.command else "to see what to do first: `alembic-rescue diagnose`"
        )
        return Text(
            f"{self.database} is not ready for a deployment; nothing was triggered. {sentence(self.reason)}",
            f"{first}. To deploy anyway: {code(self.despite)}",
        )


class PlatformRefused(RescueError):
    """The platform denied the request."""

    code = "platform-refused"
    exit_status = DATABASE
    host: str
    status: int
    doing: str
    said: str

    def _text(self) -> Text:
        said = f": {self.said}" if self.said else ""
        return Text(
            f"{self.host} denied the request (HTTP {self.status} while {self.doing}){said}",
            "the key is wrong, revoked, or from another account. Set the right key, or create a new one",
        )


class PlatformFailed(RescueError):
    """The platform's answer is not the expected one."""

    code = "platform-failed"
    exit_status = DATABASE
    host: str
    status: int
    doing: str
    said: str

    def _text(self) -> Text:
        said = f": {self.said}" if self.said else ""
        later = "check the platform's status page and its list of deployments before you try again"
        if self.status == 429:  # noqa: PLR2004 - HTTP's own
            later = "try again later. Other programs that use the same key count toward the limit"
        return Text(f"{self.host} answered with HTTP {self.status} while {self.doing}{said}", later)


class PlatformUnreachable(RescueError):
    """The platform cannot be reached."""

    code = "platform-unreachable"
    exit_status = DATABASE
    host: str
    reason: str

    def _text(self) -> Text:
        return Text(
            f"cannot reach {self.host}: {self.reason}",
            "check this machine's internet access, and whether it needs a proxy (HTTPS_PROXY)",
        )


class PlatformNotTrusted(RescueError):
    """The platform's certificate is not trusted, so nothing was sent to it."""

    code = "platform-not-trusted"
    exit_status = DATABASE
    host: str
    reason: str

    def _text(self) -> Text:
        return Text(
            f"the certificate of {self.host} is not trusted, so nothing was sent: {self.reason}",
            "a proxy may intercept the connection, or this machine's certificates are outdated. For a "
            "company's own authority, set SSL_CERT_FILE",
        )


class PlatformElsewhere(RescueError):
    """The platform redirects to another host, which must not get the key."""

    code = "platform-elsewhere"
    exit_status = DATABASE
    host: str
    other: str

    def _text(self) -> Text:
        return Text(
            f"{self.host} redirects to {self.other}; the request was not sent there, because it contains a secret",
            "check the address, and whether this network requires a login first. An API does not redirect "
            "to another host",
        )


class DeploymentNotKnown(RescueError):
    """The platform was asked to deploy, but it is unknown whether it did, or which deployment it is."""

    code = "deployment-not-known"
    exit_status = NOT_VERIFIED
    what: str
    reason: str
    follow: Sequence[str] = ()
    """The commands that follow each possible deployment; none after a hook."""
    is_listed: bool = False
    """There are new deployments, and each command follows one of them."""

    def _text(self) -> Text:
        look = "check the platform's list of deployments"
        if self.is_listed:
            help_ = (
                f"{look}. Follow yours: {'; '.join(code(one) for one in self.follow)}. Redeploy only if "
                "none of them is yours"
            )
        elif self.follow:
            help_ = (
                f"{look}. If there is a new one, follow it: `{self.follow[0]}`; only if there is none, redeploy again"
            )
        else:
            help_ = f"{look}. Redeploy only if there is no new one"
        return Text(
            f"cannot tell which deployment {self.what} triggered, if any: {self.reason}. The request was not repeated",
            help_,
        )


class DeploymentFailed(Refusal):
    """The deployment did not go live."""

    code = "deployment-failed"
    deployment: str
    status: str
    advice: str = ""

    def _text(self) -> Text:
        return Text(
            f"{self.deployment} did not go live: {self.status}",
            self.advice or "read the last lines of its log and the diagnosis of the database",
        )


class DeploymentSuperseded(Refusal):
    """A newer deployment replaced it before it went live."""

    code = "deployment-superseded"
    deployment: str
    newer: str
    follow: str
    """The command that follows the newer deployment."""

    def _text(self) -> Text:
        return Text(
            f"{self.deployment} was canceled, and {self.newer}, a newer one, took its place",
            f"follow that one: `{self.follow}`",
        )


class DeploymentUnfinished(RescueError):
    """The tool no longer follows the deployment, which continues."""

    code = "deployment-timeout"
    exit_status = DATABASE
    deployment: str
    status: str
    seconds: float
    follow: str

    def _text(self) -> Text:
        return Text(
            f"{self.deployment} did not end within {self.seconds:g} s: {self.status}. It continues",
            f"follow it again: `{self.follow}`",
        )


class FollowingInterrupted(RescueError):
    """Ctrl-C while following a deployment.  The exit status is the shell's for SIGINT."""

    code = "following-interrupted"
    exit_status = INTERRUPTED
    deployment: str
    follow: str

    def _text(self) -> Text:
        return Text(f"interrupted; the deployment {self.deployment} continues", f"follow it again: `{self.follow}`")


class FollowingLost(RescueError):
    """The platform no longer answers, while the deployment continues."""

    code = "following-lost"
    exit_status = DATABASE
    deployment: str
    reason: str
    follow: str

    def _text(self) -> Text:
        return Text(
            f"the deployment {self.deployment} cannot be followed anymore: {self.reason}. It continues",
            f"follow it again: `{self.follow}`",
        )
