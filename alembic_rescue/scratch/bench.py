"""The scratch server of one call, started on first use, and the workers that run the project's chain on it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from alembic_rescue import dialects, errors
from alembic_rescue.client import Project
from alembic_rescue.dialects.scratch import Alike, Guest, Making, Place, Prepared, ScratchServer, Unavailable
from alembic_rescue.inspection import View
from alembic_rescue.scratch import server as servers
from alembic_rescue.servers.leftovers import run_folder
from alembic_rescue.worker.process import Worker
from alembic_rescue.worker.requests import Visited

Address = tuple[str, str]
_PREPARING_SECONDS = 120.0
_LONGEST = 63
"""Longest name on a server, in bytes: PostgreSQL truncates longer ones."""
_ROOM = 4
"""Bytes reserved for a suffix that makes names unique."""
_WHOLE = 30
"""Time limit of a run of the chain, as a multiple of the limit for one revision."""


@dataclass
class Bench:
    """A context manager: on exit, a private server is stopped, and on any other the databases and roles are dropped."""

    project: Project
    told: list[str] = field(default_factory=list)
    """How the server differs from the live one: another version, a missing locale."""
    kept: dict[Any, Any] = field(default_factory=dict)
    """Finished trials, by what was run: see :mod:`alembic_rescue.scratch.trial`."""
    _dumps: dict[tuple[str, str], Any] = field(default_factory=dict)
    """By :attr:`Identity.rows_key`."""
    _folder: Path | None = None
    _until: ExitStack = field(default_factory=ExitStack)
    _server: ScratchServer | None = None
    _ahead: Worker | None = None
    """A worker that imports while the server starts."""
    _made: list[str] = field(default_factory=list)
    _roles: dict[str, None] = field(default_factory=dict)
    _password: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    _own: str = field(default_factory=lambda: secrets.token_hex(4))
    """Distinguishes the objects of this run from those of another, which may be in another container."""

    def __enter__(self) -> Bench:  # noqa: PYI034 - Self is not in Python 3.10
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        server = self._server
        try:
            if server is not None and not server.private and self._made:
                made = tuple(self._made)
                with suppress(errors.RescueError):  # the server is gone, or was never there
                    self.ask_server("remove", admin_url=server.admin_url, databases=made, roles=tuple(self._roles))
        finally:
            if self._ahead is not None:
                self._ahead.end()
            self._until.close()

    @property
    def is_running(self) -> bool:
        """Whether the server has been started."""
        return self._server is not None

    def server(self, visited: Visited) -> ScratchServer:
        """Return the server, started for databases like this one.

        Raises:
            ScratchMissing, ScratchUnfit, ScratchFailed: there is none.
        """
        if self._server is None:
            around = visited.surroundings
            identity = visited.database.identity
            if self.project.scratch != servers.NONE:
                self._ahead = self._worker()
            alike = Alike(around.encoding, around.collate, around.first_role) if around else Alike()
            dialect = dialects.of_server(identity.dialect, identity.server_version).name
            provided = servers.provided(self.project.scratch, dialect, identity.server_version, self.told.append, alike)
            try:
                self._server = self._until.enter_context(provided)
            except OSError as error:  # such as a full disk
                raise errors.ScratchFailed("the scratch server", str(error)) from error
            self.project.secrets.add_url(self._server.admin_url)
        return self._server

    def dump(self, visited: Visited) -> Any:
        """Return the schema of a live database, dumped once and kept until :meth:`look_again`.

        See :meth:`alembic_rescue.dialects.scratch.Scratch.dump`.
        """
        identity = visited.database.identity
        if identity.rows_key not in self._dumps:
            known = dialects.of_server(identity.dialect, identity.server_version).scratch
            programs = self._server.programs if self._server else known.programs(identity.server_version)
            self._dumps[identity.rows_key] = self.project.dump(identity.rows_key, programs)
        return self._dumps[identity.rows_key]

    def look_again(self) -> None:
        """Forget the live databases' schemas and the trials on copies of them: the databases may have changed."""
        self._dumps.clear()
        self.kept.clear()

    def schema(self, visited: Visited) -> str | None:
        """Return a digest of the schema of a live database; None if it cannot be told from another."""
        dump = self.dump(visited)
        return (
            None
            if isinstance(dump, Unavailable)
            else dialects.of(visited.database.identity.dialect).scratch.digest(dump)
        )

    def placed(self, view: View, suffix: str = "") -> dict[Address, Place]:
        """Return a scratch database for each database that env.py visits, by its address.

        On a private server it has the same name, if possible.
        """
        server = self.server(view.scripts.visited[0])
        prefix = "" if server.private else f"alembic_rescue_{self._own}_"
        names: dict[str, Address] = {}
        places: dict[Address, Place] = {}
        for one in view.scripts.visited:
            identity, address = one.database.identity, address_of(one)
            name = fitting(prefix, Path(identity.database).name, suffix)
            while names.setdefault(name, address) != address:
                name += "_2"
            place = places.get(address)
            schemas = {*(place.schemas if place else ()), *([identity.schema] if identity.schema else [])}
            role = one.surroundings.role if one.surroundings else ""
            places[address] = Place(
                identity.dialect,
                one.asked,
                name,
                one.surroundings,
                tuple(sorted(schemas)),
                role=role if server.private else fitting(prefix, role),
                password="" if server.private else self._password,
            )
        return places

    def prepare(self, places: Mapping[Address, Place], view: View) -> Prepared:
        """Create those of these databases that do not exist; :meth:`run` does this too.

        Raises:
            ScratchIsProjects, ScratchNotEmpty, ScratchFailed: see :func:`alembic_rescue.worker.scratch.places.prepare`.
        """
        made: Prepared = self.ask_server("prepare", making=self._making(places, view))
        self._roles.update(dict.fromkeys(made.roles))
        return made

    def guest(self, place: Place, view: View) -> Guest | None:
        """Return the role for a copy on a server that is not private, creating it if missing.  None on a private one.

        Raises:
            ScratchIsProjects, ScratchNotEmpty, ScratchFailed: as in :meth:`prepare`; nothing was created.
        """
        around = place.surroundings
        if around is None or self.server(view.scripts.visited[0]).private:
            return None
        alone = replace(
            place, surroundings=replace(around, roles=())
        )  # the copy creates the other roles as the live server has them
        self.prepare({("", place.database): alone}, view)
        return Guest(place.role, around.role, superuser=around.superuser, made=self._roles)

    def run(
        self,
        operation: str,
        places: Mapping[Address, Place],
        view: View,
        hear: Callable[[Any], None],
        prepared: Callable[[Prepared], object] = lambda _: None,
        read: Callable[[Collection[str]], object] = lambda _: None,
        **arguments: Any,
    ) -> Any:
        """Have a new scratch worker run the project's chain in these databases.

        Args:
            operation: see :mod:`alembic_rescue.worker.scratch.operations`.
            places: the databases; missing ones are created first.
            view: what env.py visits.
            hear: called with messages during the run.
            prepared: called with what was created.
            read: called with the project's files that were read, if the answer does not have them.
        """

        def heard(said: Any) -> None:
            if isinstance(said, Prepared):
                self._roles.update(dict.fromkeys(said.roles))
                prepared(said)
            elif isinstance(said, Mapping) and "files" in said:
                read(set(said["files"]) - set(self.project.loaded.files))
            else:
                hear(said)

        making: Making | None = self._making(places, view)
        if self.lacks_driver:
            prepared(self.prepare(places, view))
            making = None
        return self.ask(
            operation,
            hear=heard,
            loading=self.project.named,
            making=making,
            routes=tuple(self.route(place) for place in places.values()),
            files=self._files(),
            **arguments,
        )

    def _making(self, places: Mapping[Address, Place], view: View) -> Making:
        server = self.server(view.scripts.visited[0])
        self._made += [place.database for place in places.values() if place.database not in self._made]
        ids = tuple(one.database.identity.server_id for one in view.scripts.visited)
        return Making(server.admin_url, tuple(places.values()), ids)

    def route(self, place: Place) -> tuple[dict[str, str], dict[str, Any]]:
        """Return what redirects the project's driver to that scratch database."""
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
            scratch |= {"user": place.role, "password": place.password}
        return place.asked, scratch

    @property
    def lacks_driver(self) -> bool:
        """Whether the project's Python has no driver that a worker could use to create databases on the server."""
        if self.project.python is None or self._server is None:
            return False
        dialect = dialects.of(dialects.proper_name(urlsplit(self._server.admin_url).scheme.partition("+")[0]))
        own = [module for module, _ in dialect.places.drivers]
        return bool(own) and not set(own) & set(self.project.loaded.drivers)

    def ask_server(self, operation: str, **arguments: Any) -> Any:
        """Like :meth:`ask`, for operations that run no project code; uses the tool's driver if the project has none.

        Raises:
            WorkerDied, WorkerSilent: as in :meth:`ask`.
        """
        if not self.lacks_driver:
            return self.ask(operation, **arguments)
        worker = Worker("scratch", self.project.secrets, self.project.tell)
        try:
            return worker.call(operation, seconds=_PREPARING_SECONDS, **arguments)
        finally:
            worker.end()

    def ask(self, operation: str, *, hear: Callable[[Any], None] | None = None, **arguments: Any) -> Any:
        """Run one operation in a new scratch worker.

        Raises:
            WorkerDied, WorkerSilent: it ended, or exceeded the time limit of one revision.
        """
        project = self.project
        worker, self._ahead = self._ahead or self._worker(), None
        worker.hear = hear or project.hear
        seconds = _PREPARING_SECONDS if hear is None else project.revision_seconds
        try:
            return worker.call(operation, seconds=seconds, whole=_WHOLE * seconds, **arguments)
        finally:
            worker.end()

    def _worker(self) -> Worker:
        return Worker("scratch", self.project.secrets, self.project.tell, by=self.project.python)

    def _files(self) -> Path:
        """Return the folder for SQLite files that are not the project's databases, such as a library's cache."""
        if self._folder is None:
            self._folder = self._until.enter_context(run_folder()).path / "files"
            self._folder.mkdir(mode=0o700)
        return self._folder


def fitting(prefix: str, name: str, suffix: str = "") -> str:
    """Return `name` with prefix and suffix, shortened so that no server truncates it; unchanged without either."""
    if not prefix and not suffix:
        return name
    room = _LONGEST - _ROOM - len(prefix) - len(suffix)
    return f"{prefix}{name.encode()[:room].decode(errors='ignore')}{suffix}"


def address_of(visited: Visited) -> Address:
    """Return what distinguishes the project's databases for its drivers."""
    asked = visited.asked
    return f"{asked.get('host', '')}:{asked.get('port', '')}", visited.database.identity.database
