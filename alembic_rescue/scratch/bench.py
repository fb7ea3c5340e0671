"""The scratch server of one call, and the workers that run the project's chain on it.  Started when first needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from alembic_rescue import errors
from alembic_rescue.client import Project
from alembic_rescue.scratch import server as servers
from alembic_rescue.scratch.server import ScratchServer
from alembic_rescue.worker.process import Worker
from alembic_rescue.worker.requests import Place, Prepared, Visited

_PREPARING_SECONDS = 120.0


@dataclass
class Bench:
    """Use it as a context: at its end the server is gone, and so is what was made on one that goes on running."""

    project: Project
    told: list[str] = field(default_factory=list)
    """What is other than it might be: another version, a locale that is missing."""
    dumps: dict[tuple[str, str], Any] = field(default_factory=dict)
    """The schemas of live databases, by :attr:`Identity.rows_key`; each is asked for once."""
    _until: ExitStack = field(default_factory=ExitStack)
    _server: ScratchServer | None = None
    _made: list[str] = field(default_factory=list)

    def __enter__(self) -> Bench:  # noqa: PYI034 - Self is not in Python 3.10
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        server = self._server
        try:
            if server is not None and not server.private and self._made:
                self.ask("remove", admin_url=server.admin_url, databases=tuple(self._made))
        finally:
            self._until.close()

    @property
    def is_running(self) -> bool:
        """Whether a server was needed, and is there."""
        return self._server is not None

    def server(self, visited: Visited) -> ScratchServer:
        """The server, for databases like this one.

        Raises:
            ScratchMissing, ScratchUnfit, ScratchFailed: there is none.
        """
        if self._server is None:
            around = visited.surroundings
            identity = visited.database.identity
            wanted = {"encoding": around.encoding, "locale": around.collate} if around else {}
            dialect = "mariadb" if "MariaDB" in identity.server_version else identity.dialect
            provided = servers.provided(
                self.project.scratch, dialect, identity.server_version, self.told.append, **wanted
            )
            self._server = self._until.enter_context(provided)
            self.project.secrets.add_url(self._server.admin_url)
        return self._server

    def prepare(self, places: Sequence[Place], visited: Sequence[Visited]) -> Prepared:
        """Make these databases on the server, as far as they are not there.

        Raises:
            ScratchIsProjects, ScratchFailed: see :func:`alembic_rescue.scratch.places.prepare`.
        """
        server = self.server(visited[0])
        ids = tuple(one.database.identity.server_id for one in visited)
        self._made += [place.database for place in places if place.database not in self._made]
        made: Prepared = self.ask("prepare", admin_url=server.admin_url, places=tuple(places), live_ids=ids)
        return made

    def route(self, place: Place) -> tuple[dict[str, str], dict[str, Any]]:
        """What leads the project's driver to that scratch database."""
        assert self._server is not None, "it is asked for once there is one"
        parts = urlsplit(self._server.admin_url)
        if parts.scheme == "file":
            return place.asked, {"file": str(Path(unquote(parts.path)) / place.database)}
        query = dict(parse_qsl(parts.query))
        scratch: dict[str, Any] = {"database": place.database}
        if socket := query.get("unix_socket"):
            scratch |= {"unix_socket": socket, "host": "localhost", "user": unquote(parts.username or "root")}
        else:
            scratch |= {
                "host": query.get("host") or parts.hostname or "",
                "port": query.get("port") or parts.port or 5432,
            }
            scratch["user"] = unquote(parts.username or "")
            if self._server.private and place.surroundings:
                scratch["user"] = place.surroundings.role
            elif parts.password:
                scratch["password"] = unquote(parts.password)
        return place.asked, scratch

    def ask(self, operation: str, *, hear: Callable[[Any], None] | None = None, **arguments: Any) -> Any:
        """Have a new scratch worker do one thing.

        Raises:
            WorkerDied, WorkerSilent: it ended, or took longer than one revision may.
        """
        project = self.project
        worker = Worker("scratch", project.secrets, project.tell, hear or project.hear)
        seconds = _PREPARING_SECONDS if hear is None else project.revision_seconds
        try:
            return worker.call(operation, seconds=seconds, **arguments)
        finally:
            worker.end()


def unavailable(error: errors.RescueError) -> tuple[str, str]:
    """Why there is no scratch database, and the way to one: what an unobserved revision says."""
    return error.message, error.help
