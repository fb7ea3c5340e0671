"""Where a project's Alembic Config comes from: its files, a callable of the project, or the caller."""

from __future__ import annotations

import copy
import inspect
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import alembic
from alembic.config import CommandLine, Config
from sqlalchemy.engine import Connection

from alembic_rescue import compat, errors
from alembic_rescue.connection.failures import shown
from alembic_rescue.project import below
from alembic_rescue.project.guarded import Guard


@dataclass(frozen=True)
class Source:
    """A Config that belongs to this project only: changes to it affect nobody else."""

    config: Config
    name: str
    """Where it comes from, for messages."""
    toml: Path
    """The file whose table ``[tool.alembic_rescue]`` counts, if it exists."""
    around: Callable[[], AbstractContextManager[object]] = nullcontext
    """Makes the context for each run of the project's code."""


@dataclass(frozen=True)
class Files:
    """The configuration files of a call.  Either may be missing; both may count."""

    ini: Path
    toml: Path
    named: tuple[str, ...] = ()
    """As given with ``-c``."""

    @property
    def exist(self) -> bool:
        """Whether there is any configuration."""
        return bool(self.named) or self.ini.is_file() or "alembic" in tools(self.toml)

    @property
    def shown(self) -> str:
        """The file in use, for messages."""
        return shown(Path(self.named[0]) if self.named else self.ini if self.ini.is_file() else self.toml)


def files(named: Sequence[str] = ()) -> Files:
    """The ini file and the toml file that ``alembic -c`` would use, at most one of each.

    Raises:
        NoConfig: a given file does not exist.
        BadUsage: two files of a kind were given.
    """
    for name in named:
        if not Path(name).is_file():
            variable = ", which ALEMBIC_CONFIG names," if name == os.environ.get("ALEMBIC_CONFIG") else ""
            raise errors.NoConfig(f"{name}{variable}", below.find(Path.cwd()))
    tomls = [Path(name) for name in named if Path(name).name == below.NAMES[1]]
    inis = [Path(name) for name in named if Path(name).name != below.NAMES[1]]
    if len(tomls) > 1 or len(inis) > 1:
        raise errors.BadUsage("-c takes one ini file, one pyproject.toml, or one of each")
    ini, toml = (Path(name) for name in below.NAMES)
    return Files(inis[0] if inis else ini, tomls[0] if tomls else toml, tuple(named))


def tools(toml: Path) -> dict[str, Any]:
    """The table ``[tool]`` of a pyproject.toml; empty if there is no such file.

    Raises:
        BadConfig: it cannot be read.
    """
    try:
        return below.tools(toml)
    except (OSError, ValueError) as error:
        raise errors.BadConfig(shown(toml), f"it cannot be read: {error}") from error


def of_files(found: Files, section: str | None, x: Sequence[str]) -> Source:
    """The Config that ``alembic -c ... -n ... -x ... current`` creates, with its parsed command line."""
    if not (found.ini.is_file() or compat.alembic_reads_toml()):
        raise errors.BadConfig(
            shown(found.toml), f"Alembic {alembic.__version__} does not read it, as Alembic 1.16 and later do"
        )
    options = _command_line(section, x, found.named)
    config = Config(
        str(found.ini), ini_section=section or "alembic", cmd_opts=options, **compat.toml_argument(str(found.toml))
    )
    config.file_config  # noqa: B018 - reads the file
    return Source(config, found.shown, found.toml)


def of_callable(name: str, section: str | None, x: Sequence[str], guard: Guard) -> Source:
    """The Config that ``package.module:callable`` returns, or is.

    Raises:
        BadConfigFrom: there is no such callable, or it returns something else.
        SetupFailed: it raised, or the import of its module did; see :meth:`Guard.call` for more.
    """
    found = _imported(name, guard)
    if isinstance(found, Config):
        return of_config(found, section, x, name)
    if not callable(found):
        raise errors.BadConfigFrom(name, f"it is {_a(found)}, which cannot be called")
    made = guard.call(name, found)
    if inspect.iscoroutine(made):
        made.close()
    if inspect.isawaitable(made) or inspect.isasyncgen(made):
        raise errors.BadConfigFrom(
            name, "it is asynchronous", "name a plain function that returns the Config; asyncio.run() may stand in it"
        )
    if not isinstance(made, Config):
        raise errors.BadConfigFrom(name, f"it returned {_a(made)}, and no alembic.config.Config")
    return of_config(made, section, x, name)


def of_config(config: Config, section: str | None, x: Sequence[str], name: str = "the Config given") -> Source:
    """The project's own copy of a Config: what the tool and env.py set in it does not change the original."""
    own = copy.copy(config)
    vars(own).update(file_config=copy.deepcopy(config.file_config), attributes=dict(config.attributes))
    if section is not None:
        own.config_ini_section = section
    if config.cmd_opts is None:
        own.cmd_opts = _command_line(own.config_ini_section, x)
    else:
        own.cmd_opts = Namespace(**{**vars(config.cmd_opts), "x": [*(getattr(config.cmd_opts, "x", None) or []), *x]})
    toml = Path(getattr(config, "toml_file_name", None) or below.NAMES[1])
    return Source(own, name, toml)


@contextmanager
def connections_of_its_own(config: Config) -> Iterator[None]:
    """In this block, replace open connections in `attributes` with new ones from the same engines.

    The timeouts, the read-only session and AUTOCOMMIT are set when a connection is opened.
    """
    given = {name: value for name, value in config.attributes.items() if isinstance(value, Connection)}
    with ExitStack() as opened:
        for name, connection in given.items():
            options = {k: v for k, v in connection.get_execution_options().items() if k != "isolation_level"}
            opened.callback(config.attributes.__setitem__, name, connection)
            config.attributes[name] = opened.enter_context(connection.engine.connect()).execution_options(**options)
        yield


def _command_line(section: str | None, x: Sequence[str], named: Sequence[str] = ()) -> Namespace:
    arguments = [*(part for name in named for part in ("-c", name)), *(part for value in x for part in ("-x", value))]
    return CommandLine(prog="alembic").parser.parse_args(["-n", section or "alembic", *arguments, "current"])


def _imported(name: str, guard: Guard) -> object:
    """The object at ``package.module:name``, imported as ``python -m`` imports: the working directory counts."""
    module_name, _, attributes = name.partition(":")
    path = attributes.split(".")
    if not all(part.isidentifier() for part in [*module_name.split("."), *path]):
        raise errors.BadConfigFrom(name, "it does not have that form" if attributes else "it names no callable")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))

    def found() -> object:
        thing: object = import_module(module_name)
        for attribute in path:
            if not hasattr(thing, attribute):
                raise errors.BadConfigFrom(name, f"there is no {attribute} in {module_name}")
            thing = getattr(thing, attribute)
        return thing

    try:
        return guard.call(f"the import of {module_name}", found)
    except errors.ModuleMissing as missing:
        if f"{module_name}.".startswith(f"{missing.module}."):
            raise errors.BadConfigFrom(
                name,
                f"there is no Python module {missing.module}",
                f"it is looked for in {Path.cwd()}, in PYTHONPATH and among the installed packages: run it where "
                "`python -c 'import ...'` finds it, or set PYTHONPATH, for instance to src",
            ) from missing
        raise


def _a(thing: object) -> str:
    return "None" if thing is None else f"an object of the type {type(thing).__name__}"
