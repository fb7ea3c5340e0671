"""The project's configuration, its application or its env.py cannot be used as they are (exit status 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from alembic_rescue.errors.base import Text, UsageError
from alembic_rescue.errors.words import and_printed, listed

if TYPE_CHECKING:
    from alembic_rescue.project.below import Found

_BY_ITS_PYTHON = (
    "If alembic-rescue is installed elsewhere (uvx, pipx), name the project's Python: --python .venv/bin/python"
)
_CONFIGS = 5
"""Further down in a repository of many services; the nearest come first."""


class NoConfig(UsageError):
    """No Alembic configuration where one was looked for."""

    code = "no-config"
    looked_for: str
    found: Sequence[Found] = ()
    words: Sequence[str] = ("diagnose",)

    def _text(self) -> Text:
        commands = [one.command(self.words) for one in self.found]
        if len(self.found) == 1:
            way_on = f"there is {self.found[0].file}: {commands[0]}"
        elif self.found:
            more = f"; and {len(commands) - _CONFIGS} more" if len(commands) > _CONFIGS else ""
            way_on = f"there are others, choose one: {'; '.join(commands[:_CONFIGS])}{more}"
        else:
            way_on = (
                "run it from the root of the backend's repository, or name the file: -c path/to/alembic.ini; "
                "a Config that is made in code: --config-from package.module:callable"
            )
        return Text(f"no Alembic configuration here: {self.looked_for} does not exist", way_on)

    def told(self, words: Sequence[str]) -> NoConfig:
        """The same with the commands that go on with `words`: what was typed, without ``-c``."""
        return NoConfig(self.looked_for, self.found, words)


class BadConfigFrom(UsageError):
    """What ``--config-from`` names cannot be used."""

    code = "bad-config-from"
    name: str
    reason: str
    help: str = "its form is package.module:callable, and it returns a Config"

    def _text(self) -> Text:
        return Text(f"--config-from {self.name} cannot be used: {self.reason}", self.help)


class SetupFailed(UsageError):
    """The project's own code that makes the configuration, or the application, raised."""

    code = "setup-failed"
    what: str
    place: str
    reason: str
    printed: str = ""

    def _text(self) -> Text:
        return Text(
            f"{self.what} failed at {self.place}: {self.reason}",
            "it is called before env.py, with the environment that alembic-rescue has; "
            "see the whole traceback with: alembic-rescue --debug ..." + and_printed(self.printed),
        )


class SetupWrites(UsageError):
    """The project's own code that makes the configuration, or the application, tried to write to the database."""

    code = "setup-writes"
    what: str
    place: str
    reason: str

    def _text(self) -> Text:
        return Text(
            f"{self.what} writes to the database while it is set up, at {self.place}: {self.reason}",
            "looking is done on a read-only session: what it creates here would pass for what the migrations created. "
            "Make that conditional on what is already there, or on a variable of the environment",
        )


class FlaskNotInstalled(UsageError):
    """A Flask application is named, and Flask is not there."""

    code = "flask-not-installed"
    app: str

    def _text(self) -> Text:
        return Text(
            f"Flask is not installed here, and the application {self.app} is to be loaded with it",
            f"install alembic-rescue in the application's own environment, where flask is. {_BY_ITS_PYTHON}",
        )


class NoFlaskApp(UsageError):
    """Flask does not find the application."""

    code = "no-flask-app"
    app: str
    reason: str

    def _text(self) -> Text:
        return Text(
            f"Flask cannot load the application {self.app}: {self.reason}",
            "--app and FLASK_APP are what they are to `flask`: module, module:app or module:factory, seen from the "
            "folder in which `flask db` is run; try `flask db current`",
        )


class NoFlaskMigrate(UsageError):
    """The application has no Flask-Migrate."""

    code = "no-flask-migrate"
    app: str

    def _text(self) -> Text:
        return Text(
            f"the Flask application {self.app} has no Flask-Migrate: there is no Migrate(app, db) in it",
            "name the application that has it with --app, or the configuration of Alembic itself with -c FILE",
        )


class FlaskAppNeeded(UsageError):
    """The configuration is Flask-Migrate's, and no application is named."""

    code = "flask-app-needed"
    found: Found
    words: Sequence[str] = ("diagnose",)

    def _text(self) -> Text:
        return Text(
            f"{self.found.file} is Flask-Migrate's, which works only with its application",
            f"name the application as for `flask`, with --app or FLASK_APP: {self.found.command(self.words)}",
        )

    def told(self, words: Sequence[str]) -> FlaskAppNeeded:
        """The same with the command that goes on with `words`: what was typed, without ``-c``."""
        return FlaskAppNeeded(self.found, words)


class BadConfig(UsageError):
    """The configuration or the script directory cannot be loaded."""

    code = "bad-config"
    source: str
    reason: str

    def _text(self) -> Text:
        return Text(
            f"{self.source} cannot be used: {self.reason}",
            "it must be a configuration with which the `alembic` command itself works: try `alembic current`",
        )


class NoScriptLocation(UsageError):
    """The configuration does not name its script directory."""

    code = "no-script-location"
    source: str
    section: str

    def _text(self) -> Text:
        return Text(
            f"{self.source} has no script_location in its section [{self.section}]",
            "set script_location there, or name the section with -n, or another file with -c",
        )


class EnvFailed(UsageError):
    """env.py raised."""

    code = "env-failed"
    reason: str
    place: str
    printed: str = ""

    def _text(self) -> Text:
        return Text(
            f"env.py failed at {self.place}: {self.reason}",
            "the same happens with `alembic current`; see the whole traceback with: alembic-rescue --debug ..."
            + and_printed(self.printed),
        )


class EnvExited(UsageError):
    """env.py called ``sys.exit``."""

    code = "env-exited"
    status: str
    place: str
    printed: str = ""

    def _text(self) -> Text:
        return Text(
            f"env.py ended the program at {self.place} (sys.exit: {self.status})",
            "see why with `alembic current`" + and_printed(self.printed),
        )


class EnvVariableMissing(UsageError):
    """env.py, or the code that makes the configuration, reads an environment variable that is not set."""

    code = "env-variable-missing"
    name: str
    place: str
    what: str = "env.py"

    def _text(self) -> Text:
        return Text(
            f"{self.what} needs the environment variable {self.name}, which is not set (at {self.place})",
            f"set it as the deployment does: {self.name}=... alembic-rescue ...",
        )


class EnvNeverMigrates(UsageError):
    """env.py ran to its end without running migrations, so that nothing was seen of any database."""

    code = "env-never-migrates"
    path: str
    printed: str = ""

    def _text(self) -> Text:
        return Text(
            f"{self.path} ended without running migrations: no database was seen",
            "context.run_migrations() was not reached: a condition in env.py, or an error that it swallows"
            + and_printed(self.printed),
        )


class EnvWrites(UsageError):
    """env.py tried to write to a session that is held read-only."""

    code = "env-writes"
    reason: str
    place: str

    def _text(self) -> Text:
        return Text(
            f"env.py writes to the database outside of its migrations, at {self.place}: {self.reason}",
            "looking is done on a read-only session; make that statement conditional on what is already there",
        )


class ConnectionExpected(UsageError):
    """env.py takes its connection from the application, and nothing says where that would go."""

    code = "connection-expected"
    source: str

    def _text(self) -> Text:
        return Text(
            f'env.py takes its connection from the application (config.attributes["connection"]), and {self.source} '
            "has no sqlalchemy.url that could stand for it",
            "name the database: --url or ALEMBIC_RESCUE_URL",
        )


class DriverMissing(UsageError):
    """The driver that env.py's URL asks for is not installed."""

    code = "driver-missing"
    module: str
    place: str
    what: str = "env.py"
    plain_means: tuple[str, str, str] | None = None
    """Which SQLAlchemy takes a plain postgresql:// for `module`, the driver that is there, and its package."""

    def _text(self) -> Text:
        way_on = f"install it in the backend's own environment. {_BY_ITS_PYTHON}"
        if self.plain_means:
            version, installed, package = self.plain_means
            way_on = (
                f"SQLAlchemy {version} takes a plain postgresql:// for {self.module}: write postgresql+{installed}:// "
                f"(here: --url), or install {package}, in the backend's own environment"
            )
        return Text(
            f"the Python package {self.module} is not installed, and {self.what} needs it (at {self.place})", way_on
        )


class ModuleMissing(UsageError):
    """env.py or a revision file imports a package that is not there."""

    code = "module-missing"
    module: str
    place: str

    def _text(self) -> Text:
        return Text(
            f"the Python module {self.module} cannot be found, and {self.place} imports it",
            "alembic-rescue runs the project's own code: run it where alembic is run, and install what is missing "
            f"in the backend's own environment. {_BY_ITS_PYTHON}",
        )


class ConfigDoesNotTravel(UsageError):
    """A ``Config`` that was handed over as an object holds what cannot go to the process in which env.py runs."""

    code = "config-does-not-travel"
    attributes: Sequence[str]
    """The names of those of its attributes that cannot."""

    def _text(self) -> Text:
        return Text(
            "env.py runs in a process of its own, and of the Config that was handed over this cannot be sent there: "
            f"{listed(f'attributes[{name!r}]' for name in self.attributes)}",
            'name what makes the Config, in place of the Config: config_from="package.module:callable"',
        )
