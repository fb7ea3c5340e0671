"""The project's configuration, application or env.py cannot be used as it is (exit status 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from alembic_rescue.errors.base import Text, UsageError
from alembic_rescue.errors.words import and_printed, code, listed

if TYPE_CHECKING:
    from alembic_rescue.project.below import Found

_BY_ITS_PYTHON = (
    "If alembic-rescue is installed elsewhere (uvx, pipx), pass the project's Python with `--python .venv/bin/python`"
)
_CONFIGS = 5
"""The most that are listed, nearest first; a repository may have many services."""


class NoConfig(UsageError):
    """No Alembic configuration was found."""

    code = "no-config"
    looked_for: str
    found: Sequence[Found] = ()
    words: Sequence[str] = ("diagnose",)

    def _text(self) -> Text:
        commands = [code(one.command(self.words)) for one in self.found]
        if len(self.found) == 1:
            way_on = f"found {self.found[0].file}: {commands[0]}"
        elif self.found:
            more = f"; and {len(commands) - _CONFIGS} more" if len(commands) > _CONFIGS else ""
            way_on = f"there are several, choose one: {'; '.join(commands[:_CONFIGS])}{more}"
        else:
            way_on = (
                "run this in the root of the backend's repository, or pass the file with `-c path/to/alembic.ini`. "
                "For a Config built in code, use `--config-from package.module:callable`"
            )
        return Text(f"no Alembic configuration found: {self.looked_for} does not exist", way_on)

    def told(self, words: Sequence[str]) -> NoConfig:
        """The same, with the commands to continue with `words`: what was typed, without ``-c``."""
        return NoConfig(self.looked_for, self.found, words)


class BadConfigFrom(UsageError):
    """What ``--config-from`` names cannot be used."""

    code = "bad-config-from"
    name: str
    reason: str
    help: str = "write it as package.module:callable; the callable must return a Config"

    def _text(self) -> Text:
        return Text(f"--config-from {self.name} cannot be used: {self.reason}", self.help)


class SetupFailed(UsageError):
    """The project's own code that makes the configuration or the application raised."""

    code = "setup-failed"
    what: str
    place: str
    reason: str
    printed: str = ""

    def _text(self) -> Text:
        return Text(
            f"{self.what} failed at {self.place}: {self.reason}",
            "it is called before env.py, with the environment of this command. To see the whole traceback: "
            "`alembic-rescue --debug ...`" + and_printed(self.printed),
        )


class SetupWrites(UsageError):
    """The project's own code that makes the configuration or the application tried to write to the database."""

    code = "setup-writes"
    what: str
    place: str
    reason: str

    def _text(self) -> Text:
        return Text(
            f"{self.what} writes to the database during setup, at {self.place}: {self.reason}",
            "this check uses a read-only session, because objects created during setup would be taken for "
            "the migrations' own. Run that statement only if the object does not exist, or make it depend "
            "on an environment variable",
        )


class FlaskNotInstalled(UsageError):
    """A Flask application was named, but Flask is not installed."""

    code = "flask-not-installed"
    app: str

    def _text(self) -> Text:
        return Text(
            f"Flask is not installed here, but the application {self.app} needs it",
            f"install alembic-rescue in the application's environment, beside Flask. {_BY_ITS_PYTHON}",
        )


class NoFlaskApp(UsageError):
    """Flask cannot find the application."""

    code = "no-flask-app"
    app: str
    reason: str

    def _text(self) -> Text:
        return Text(
            f"Flask cannot load the application {self.app}: {self.reason}",
            "--app and FLASK_APP work as for `flask`: module, module:app or module:factory, relative to "
            "the folder where you run `flask db`. Try `flask db current`",
        )


class NoFlaskMigrate(UsageError):
    """The application has no Flask-Migrate."""

    code = "no-flask-migrate"
    app: str

    def _text(self) -> Text:
        return Text(
            f"the Flask application {self.app} does not use Flask-Migrate: it never calls Migrate(app, db)",
            "pass the application that does with --app, or Alembic's own configuration with -c FILE",
        )


class FlaskAppNeeded(UsageError):
    """The configuration is Flask-Migrate's, but no application was named."""

    code = "flask-app-needed"
    found: Found
    words: Sequence[str] = ("diagnose",)

    def _text(self) -> Text:
        return Text(
            f"{self.found.file} belongs to Flask-Migrate, which needs its application",
            f"pass the application with --app or FLASK_APP, as for `flask`: {code(self.found.command(self.words))}",
        )

    def told(self, words: Sequence[str]) -> FlaskAppNeeded:
        """The same, with the command to continue with `words`: what was typed, without ``-c``."""
        return FlaskAppNeeded(self.found, words)


class BadConfig(UsageError):
    """The configuration or the script directory cannot be loaded."""

    code = "bad-config"
    source: str
    reason: str
    way_on: str = "the `alembic` command must work with the same configuration. Try `alembic current`"

    def _text(self) -> Text:
        return Text(f"{self.source} cannot be used: {self.reason}", self.way_on)


class NoScriptLocation(UsageError):
    """The configuration does not name its script directory."""

    code = "no-script-location"
    source: str
    section: str

    def _text(self) -> Text:
        return Text(
            f"{self.source} has no script_location in its section [{self.section}]",
            "set script_location there, choose another section with -n, or another file with -c",
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
            "check that Alembic itself fails too: `alembic current`. To see the whole traceback, repeat with "
            "`alembic-rescue --debug`" + and_printed(self.printed),
        )


class EnvExited(UsageError):
    """env.py called ``sys.exit``."""

    code = "env-exited"
    status: str
    place: str
    printed: str = ""

    def _text(self) -> Text:
        return Text(
            f"env.py exited at {self.place} (sys.exit: {self.status})",
            "run `alembic current` to see why" + and_printed(self.printed),
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
            f"set it to the deployment's value: {self.name}=... alembic-rescue ...",
        )


class EnvNeverMigrates(UsageError):
    """env.py ended without running migrations, so that no database was seen."""

    code = "env-never-migrates"
    path: str
    printed: str = ""

    def _text(self) -> Text:
        return Text(
            f"{self.path} finished without running migrations, so the database is unknown",
            "context.run_migrations() was never called. Look for a condition in env.py, or an error that it swallows"
            + and_printed(self.printed),
        )


class EnvWrites(UsageError):
    """env.py tried to write to a session that is held read-only."""

    code = "env-writes"
    reason: str
    place: str

    def _text(self) -> Text:
        return Text(
            f"env.py writes to the database outside its migrations, at {self.place}: {self.reason}",
            "this check uses a read-only session. Run that statement only if its object does not exist",
        )


class ConnectionExpected(UsageError):
    """env.py takes its connection from the application, and nothing says which database that is."""

    code = "connection-expected"
    source: str

    def _text(self) -> Text:
        return Text(
            'env.py takes its connection from the application (config.attributes["connection"]), and '
            f"{self.source} has no sqlalchemy.url to use instead",
            "pass the database with --url or ALEMBIC_RESCUE_URL",
        )


class DriverMissing(UsageError):
    """The driver in env.py's URL is not installed."""

    code = "driver-missing"
    module: str
    place: str
    what: str = "env.py"
    plain_means: tuple[str, str, str] | None = None
    """The SQLAlchemy that takes a plain postgresql:// for `module`, the installed driver, and that driver's package."""

    def _text(self) -> Text:
        way_on = f"install it in the backend's own environment. {_BY_ITS_PYTHON}"
        if self.plain_means:
            version, installed, package = self.plain_means
            way_on = (
                f"SQLAlchemy {version} uses {self.module} for a plain postgresql:// URL. Write "
                f"postgresql+{installed}:// (here: --url), or install {package}, in the backend's own "
                "environment"
            )
        return Text(
            f"the Python package {self.module} is not installed, but {self.what} needs it (at {self.place})", way_on
        )


class ModuleMissing(UsageError):
    """env.py or a revision file imports a package that is not installed."""

    code = "module-missing"
    module: str
    place: str

    def _text(self) -> Text:
        return Text(
            f"the Python module {self.module} was not found; {self.place} imports it",
            "alembic-rescue runs the project's own code. Run it where you run alembic, and install what is missing "
            f"in the backend's own environment. {_BY_ITS_PYTHON}",
        )


class ConfigDoesNotTravel(UsageError):
    """A ``Config`` passed as an object holds something that cannot be sent to the process that runs env.py."""

    code = "config-does-not-travel"
    attributes: Sequence[str]
    """The names of its attributes that cannot be sent."""

    def _text(self) -> Text:
        return Text(
            "env.py runs in a separate process, and part of this Config cannot be sent there: "
            f"{listed(f'attributes[{name!r}]' for name in self.attributes)}",
            'pass the callable that builds the Config instead: config_from="package.module:callable"',
        )
