"""Load a Flask application and its Flask-Migrate Config as the `flask` command loads them.

The tool does not depend on Flask: nothing here imports it until an application is named.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from alembic_rescue import errors
from alembic_rescue.connection.failures import of_setup, shown
from alembic_rescue.project import sources
from alembic_rescue.project.guarded import Guard
from alembic_rescue.project.sources import Source

VARIABLE = "FLASK_APP"
_NO = {"0", "false", "no"}


def named() -> str | None:
    """The application in FLASK_APP, from the environment or the files that `flask` loads into it."""
    return os.environ.get(VARIABLE) or _named_in_files()


def source(app: str, folder: str | None, section: str | None, x: Sequence[str], guard: Guard) -> Source:
    """The Config of the application `app`.  Everything that uses it must run in the application's context.

    Args:
        app: as ``flask --app``.
        folder: as ``flask db --directory``; None is the application's own.
        section, x: as for ``alembic``.
        guard: guards the application's setup.

    Raises:
        FlaskNotInstalled, NoFlaskApp, NoFlaskMigrate, NoConfig: see there.
        SetupFailed: the application raised; see :meth:`Guard.call` for more.
    """
    cli = _flask_cli(app)
    if _reads_files():
        cli.load_dotenv()  # says that there are files, if python-dotenv is not installed
        guard.secrets.add_environment(os.environ)
    told = re.sub(r"\(.*\)", "(...)", app)  # a factory's arguments may hold a secret
    application = guard.call(f"the Flask application {told}", lambda: _loaded(cli, app, told, guard))
    extension = application.extensions.get("migrate")
    if not hasattr(extension, "directory") or not hasattr(getattr(extension, "migrate", None), "get_config"):
        raise errors.NoFlaskMigrate(told)
    directory = folder or str(extension.directory)
    ini = Path(directory) / "alembic.ini"
    if not ini.is_file():
        raise errors.NoConfig(f"{shown(ini)}, of the Flask application {told},")

    def config() -> Any:
        with application.app_context():
            return extension.migrate.get_config(directory=directory, x_arg=list(x))

    made = guard.call(f"Flask-Migrate's configuration of {told}", config)
    own = sources.of_config(made, section, (), f"{shown(ini)} of the Flask application {told}")
    return replace(own, around=application.app_context)


def _flask_cli(app: str) -> Any:
    try:
        return import_module("flask.cli")
    except ModuleNotFoundError as error:
        raise errors.FlaskNotInstalled(app) from error


def _loaded(cli: Any, app: str, told: str, guard: Guard) -> Any:
    try:
        with _not_started():
            return cli.ScriptInfo(app_import_path=app).load_app()
    except cli.NoAppException as error:
        message, has_traceback, _ = error.message.partition("\n\nTraceback")
        if has_traceback and error.__context__ is not None:  # the error of the inner import says more
            raise of_setup(error.__context__, f"the Flask application {told}", "", guard.secrets.hide) from error
        arguments = app.partition("(")[2]
        for written in (arguments, repr(arguments)[1:-1]):
            message = message.replace(written, "...)") if written else message
        raise errors.NoFlaskApp(told, guard.secrets.hide(" ".join(message.split()))) from error


@contextmanager
def _not_started() -> Iterator[None]:
    """Keep an ``app.run()`` at the end of a module from starting a server, as the `flask` command does."""
    before = os.environ.get("FLASK_RUN_FROM_CLI")
    os.environ["FLASK_RUN_FROM_CLI"] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ["FLASK_RUN_FROM_CLI"]
        else:
            os.environ["FLASK_RUN_FROM_CLI"] = before


def _reads_files() -> bool:
    return os.environ.get("FLASK_SKIP_DOTENV", "0").lower() in _NO


def _named_in_files() -> str | None:
    """FLASK_APP from ``.env`` or ``.flaskenv``, here or in a parent folder, if python-dotenv is installed."""
    with suppress(ModuleNotFoundError):
        dotenv = import_module("dotenv")
        for file in (".env", ".flaskenv") if _reads_files() else ():
            found = dotenv.find_dotenv(file, usecwd=True)
            if found and (app := dotenv.dotenv_values(found).get(VARIABLE)):
                return str(app)
    return None
