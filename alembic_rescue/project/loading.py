"""The user's project: its Alembic configuration, loaded as the ``alembic`` command loads it."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from configparser import InterpolationError
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.engine import URL

from alembic_rescue import errors
from alembic_rescue.connection import urls
from alembic_rescue.connection.failures import Hide, one_line
from alembic_rescue.connection.sessions import Timeouts
from alembic_rescue.environment.printed import Printed
from alembic_rescue.project import below, flask_app, sources
from alembic_rescue.project.guarded import Guard
from alembic_rescue.project.sources import Source
from alembic_rescue.redact import Secrets

SETTINGS = (
    *("receipts", "lock_timeout", "statement_timeout", "connect_timeout"),
    *("render_service", "deploy_hook", "python"),
)
"""The settings of the optional section ``[alembic_rescue]`` (``[tool.alembic_rescue]`` in pyproject.toml)."""
_VARIABLE = re.compile(r"\w*", re.ASCII)
_SHORTEST_TIMEOUT, _LONGEST_TIMEOUT = 0.001, 2_000_000
_SENSIBLE = f"from {_SHORTEST_TIMEOUT} to {_LONGEST_TIMEOUT} seconds"


@dataclass(frozen=True)
class Project:
    """A loaded project, whose configuration could be read."""

    config: Config
    script: ScriptDirectory
    url: URL | None
    """The URL of ``--url``, which overrides whatever env.py does."""
    source: str
    """Where the configuration comes from, for messages."""
    settings: dict[str, str]
    """The section ``[alembic_rescue]``."""
    timeouts: Timeouts
    secrets: Secrets = field(repr=False)
    around: Callable[[], AbstractContextManager[object]] = nullcontext
    """Makes the context in which the project's code has to run, such as a Flask application's."""

    @property
    def env_path(self) -> Path:
        """The project's env.py."""
        return Path(self.script.dir) / "env.py"


def load(
    config_file: str | Sequence[str] | None = None,
    section: str | None = None,
    x: Sequence[str] = (),
    url: str | None = None,
    lock_timeout: float | None = None,
    secrets: Secrets | None = None,
    *,
    config: Config | None = None,
    config_from: str | None = None,
    app: str | None = None,
    recovered: Sequence[str] = (),
    tell: Callable[[str], None] = lambda _: None,
) -> Project:
    """Load the project of the working directory, or the named one.

    Args:
        config_file: as ``alembic -c``; an ini file, a ``pyproject.toml``, or one of each.
        section: as ``alembic -n``.
        x: as ``alembic -x``, for env.py.
        url: the database to use, whatever env.py says.
        lock_timeout: in seconds; None takes the project's setting, or 5.
        secrets: collects the passwords that come up, to keep them out of all text.
        config: a Config made in code, instead of files.  It is copied, so that the original does not change.
        config_from: ``package.module:callable``, which returns such a Config.
        app: a Flask application with Flask-Migrate, as ``flask --app``.  A `config_file` given with it names the
            migrations folder, if that is not the application's own.
        recovered: more folders with revisions, which count as the project's.
        tell: called with each line that the project's code prints meanwhile, without secrets.

    Raises:
        NoConfig, BadConfig, NoScriptLocation, BadUrl: see there.
        BadConfigFrom, FlaskAppNeeded, FlaskNotInstalled, NoFlaskApp, NoFlaskMigrate: see there.
        SetupFailed, SetupWrites: the project's own configuration code failed.
    """
    if sum(given is not None for given in (config, config_from, config_file or app)) > 1:
        raise errors.BadUsage("pass exactly one of: files (or an application), a callable, or a Config")
    named = (config_file,) if isinstance(config_file, str) else tuple(config_file or ())
    secrets = secrets or Secrets()
    secrets.add(os.environ.get("PGPASSWORD"))
    secrets.add_environment(os.environ)
    secrets.add_url(url or "")
    chosen = urls.parse(url) if url else None
    printed = Printed(secrets.hide, tell)
    guard = Guard(chosen, Timeouts(), secrets, printed)
    try:
        with printed.taking():
            if config is not None:
                source = sources.of_config(config, section, x)
            elif config_from is not None:
                source = sources.of_callable(config_from, section, x, guard)
            else:
                source = _found(sources.files(named), app, section, x, guard)
            loaded = _of(source, chosen, lock_timeout, secrets)
            if recovered:
                script = loaded.script
                script.version_locations = [
                    *(script.version_locations or [str(Path(script.dir) / "versions")]),
                    *recovered,
                ]
            return loaded
    finally:
        printed.end()


def _found(files: sources.Files, app: str | None, section: str | None, x: Sequence[str], guard: Guard) -> Source:
    """The Config of the files, or of the Flask application that they belong to."""
    exist, flasks = files.exist, files.ini.is_file() and below.is_flask_migrates(files.ini)
    if app is None and exist and not flasks:
        with _readable(files.shown, guard.secrets.hide):
            return sources.of_files(files, section, x)
    if app := app or flask_app.named():
        return flask_app.source(app, str(files.ini.parent) if files.named else None, section, x, guard)
    here = Path.cwd()
    if not exist:
        raise errors.NoConfig(f"alembic.ini (or a pyproject.toml with [tool.alembic]) in {here}", below.find(here))
    home = here if files.named else here.parent
    raise errors.FlaskAppNeeded(below.Found(files.shown, None if files.named else "..", below.app_in(home)))


def _of(source: Source, url: URL | None, lock_timeout: float | None, secrets: Secrets) -> Project:
    config = source.config
    section = config.config_ini_section
    with _readable(source.name, secrets.hide):
        configured = config.get_section(section) or {}
        settings = _settings(config, source.toml)
        timeouts = _timeouts(source.name, settings, lock_timeout)
    for value in configured.values():
        secrets.add_url(value)
    chosen = urls.with_installed_driver(url, configured.get("sqlalchemy.url")) if url is not None else None
    if chosen is not None:
        secrets.add(chosen.password)
        rendered = chosen.render_as_string(hide_password=False)
        config.set_section_option(section, "sqlalchemy.url", rendered.replace("%", "%%"))
    script = _script(config, source.name, section, secrets.hide)
    return Project(config, script, chosen, source.name, settings, timeouts, secrets, source.around)


@contextmanager
def _readable(source: str, hide: Hide) -> Iterator[None]:
    """Turn whatever is raised in this block into an error of the configuration."""
    try:
        yield
    except errors.RescueError:
        raise
    except InterpolationError as error:  # its message quotes the rest of the value, which may be half a password
        raise errors.BadConfig(
            source,
            f"{error.option} in [{error.section}] has a % that must be written as %%, or refers to an unknown setting",
        ) from None
    except Exception as error:  # whatever configparser, tomllib or Alembic raise
        raise errors.BadConfig(source, one_line(error, hide)) from error


def _script(config: Config, source: str, section: str, hide: Hide) -> ScriptDirectory:
    try:
        return ScriptDirectory.from_config(config)
    except CommandError as error:
        if "script_location" in str(error) or "has no" in str(error):
            raise errors.NoScriptLocation(source, section) from error
        location = config.get_main_option("script_location") or ""
        if Path(location).is_dir():
            raise errors.BadConfig(source, one_line(error, hide)) from error
        reason = f"its script_location {hide(location)} does not exist"
        if (Path(source).parent / location).is_dir():  # Alembic starts in the working directory
            folder = errors.code(f"cd {shlex.quote(str(Path(source).parent))}")
            way_on = f"the path is relative to the folder that `alembic` is run in. First run: {folder}"
            raise errors.BadConfig(source, reason, way_on) from error
        raise errors.BadConfig(source, reason) from error
    except Exception as error:  # a package that cannot be imported, interpolation, ...
        raise errors.BadConfig(source, f"{type(error).__name__}: {one_line(error, hide)}") from error


def _settings(config: Config, toml: Path) -> dict[str, str]:
    here = str(toml.absolute().parent)
    found = {k: str(v).replace("%(here)s", here) for k, v in sources.tools(toml).get("alembic_rescue", {}).items()}
    section = config.get_section("alembic_rescue") or {}
    defaults = config.file_config.defaults()
    found.update({k: v for k, v in section.items() if k in SETTINGS or k not in defaults})
    if unknown := sorted(set(found) - set(SETTINGS)):
        raise errors.BadConfig(
            "[alembic_rescue]",
            f"unknown setting {errors.listed(unknown)}; the settings are {errors.listed(SETTINGS)}",
        )
    if not _VARIABLE.fullmatch(found.get("deploy_hook", "").strip()):  # not shown: it may be the URL
        raise errors.BadConfig(
            "[alembic_rescue]",
            "deploy_hook must be the name of the variable that holds the URL, because the URL is a secret",
        )
    return found


def _sensible(seconds: float) -> bool:
    """Whether a timeout is at least one millisecond (PostgreSQL takes 0 as no timeout), and fits its setting."""
    return _SHORTEST_TIMEOUT <= seconds <= _LONGEST_TIMEOUT


def _timeouts(source: str, settings: dict[str, str], lock: float | None) -> Timeouts:
    seconds: dict[str, float] = {}
    for name in ("lock", "statement", "connect"):
        value = settings.get(f"{name}_timeout")
        if value is None:
            continue
        try:
            seconds[name] = float(value)
        except ValueError:
            raise errors.BadConfig(source, f"{name}_timeout is {value!r}, which is not a number of seconds") from None
    if bad := [f"{name}_timeout" for name, value in seconds.items() if not _sensible(value)]:
        raise errors.BadConfig(source, f"{errors.listed(bad)} must be {_SENSIBLE}")
    if lock is not None:
        if not _sensible(lock):
            raise errors.BadUsage(f"--lock-timeout must be {_SENSIBLE}")
        seconds["lock"] = lock
    return Timeouts(**seconds)
