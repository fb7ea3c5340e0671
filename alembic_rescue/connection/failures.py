"""Turn what went wrong inside env.py, Alembic or the driver into one of the tool's own errors.

Searches the whole chain of causes, because env.py files wrap errors.  The server's own code decides if the driver
passes it on, otherwise the message does: see :class:`alembic_rescue.dialects.base.Failures`.
"""

from __future__ import annotations

import re
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import alembic
import sqlalchemy
from alembic.util import CommandError
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from alembic_rescue import compat, errors
from alembic_rescue.connection import drivers, urls
from alembic_rescue.errors import RescueError

Hide = Callable[[str], str]
"""Removes secrets from a text."""


@dataclass(frozen=True)
class At:
    """Where something went wrong."""

    database: str
    """For a sentence."""
    role: str
    lock: tuple[str, float]
    """What a lock would be awaited on, and for how many seconds."""


_ARGUMENTS: dict[type[RescueError], Callable[[At, str], tuple[object, ...]]] = {
    errors.LockTimeout: lambda at, _: at.lock,
    errors.StatementTimeout: lambda _, reason: (reason,),
    errors.PermissionDenied: lambda at, reason: (at.role, reason),
}
"""Constructor arguments of the errors that take other arguments than the database and the reason."""
_NETWORK: tuple[tuple[str, type[RescueError]], ...] = (
    (r"could not translate host name|name or service not known|nodename nor servname|getaddrinfo", errors.UnknownHost),
    (r"timeout expired|timed out", errors.ConnectTimeout),
    (
        (
            r"connection refused|no such file or directory.*socket|is the server running|starting up|shutting down"
            r"|network is unreachable|no route to host|not currently accepting connections"
            r"|connect call failed|^no such file or directory$"
        ),
        errors.ConnectionRefused,
    ),
    (
        (
            r"server closed the connection|connection .*closed|terminating connection|connection reset|broken pipe"
            r"|could not receive data|ssl connection has been closed|network error|connection_lost\(\)"
        ),
        errors.ConnectionLost,
    ),
    (
        r"server does not support ssl|ssl .*(required|error)|certificate|insecure|(rejected|refuses) ssl",
        errors.EncryptionFailed,
    ),
    (r"read-only", errors.ReadOnlyServer),
)
"""Patterns for any driver, tried after each dialect's own."""


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield `error` and its causes, the outermost first."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def of_database(error: BaseException, at: At, hide: Hide) -> RescueError | None:
    """Return the database error that caused `error`; None if the database is not the cause."""
    for link in chain(error):
        original = link.orig if isinstance(link, DBAPIError) and link.orig is not None else link
        reason = one_line(original, hide)
        if kind := drivers.error_class(original) or _by_words(link, original, reason):
            shortened = _libpq_shortened(reason)
            make: Callable[..., RescueError] = kind
            return make(*(_ARGUMENTS[kind](at, shortened) if kind in _ARGUMENTS else (at.database, shortened)))
    return None


def _by_words(link: BaseException, original: BaseException, reason: str) -> type[RescueError] | None:
    if isinstance(link, PoolTimeout):
        return errors.ConnectTimeout
    if _is_of_network(link) or isinstance(link, DBAPIError) or _is_driver_error(original):
        for words, kind in (*drivers.words(), *_NETWORK):
            if re.search(words, reason, re.IGNORECASE):
                return kind
    if vague := drivers.vague_class(original):
        return vague
    connecting = isinstance(link, OperationalError) or drivers.ends_session(original)
    connecting = connecting and getattr(link, "statement", None) is None
    return errors.CannotConnect if connecting else None


def _libpq_shortened(reason: str) -> str:
    """Return the reason without what the error around it says already: the address, except a resolved one."""
    reason = re.sub(r"^connection failed: |\[Errno -?\d+\] |\bFATAL:\s+", "", reason)
    reason = re.sub(r"connection to server (?:at|on socket) \"[^\"]*\"(?:, port \d+)? failed: ", "", reason)
    reason = re.sub(r"connection to server at \"[^\"]*\" \(([^)]*)\), port \d+ failed: ", r"[\1] ", reason)
    reason = reason.replace(
        " This probably means the server terminated abnormally before or while processing the request.", ""
    )
    return re.sub(r" Is the server running (?:on that host|locally) and accepting [^?]*\?", "", reason)


def _is_driver_error(error: BaseException) -> bool:
    """Return whether it is a driver's: by PEP 249, every driver's errors derive from classes with these names."""
    return any(base.__name__ in {"OperationalError", "InterfaceError"} for base in type(error).__mro__)


def _is_of_network(error: BaseException) -> bool:
    """Return whether a driver raised a bare network error while connecting.  Does not apply to env.py's own errors."""
    if not isinstance(error, OSError) and type(error).__name__ != "TimeoutError":  # asyncio has its own in Python 3.10
        return False
    frames = traceback.extract_tb(error.__traceback__)
    return any(Path(frame.filename).parent.name in drivers.packages() for frame in frames)


def of_env(error: BaseException, env_path: Path, printed: str, hide: Hide) -> RescueError:
    """Return the error of env.py itself (or of the scripts and settings that it loads)."""
    place = place_of(error, env_path)
    if _of_package(traceback.extract_tb(error.__traceback__)[-1:]):
        return errors.InternalError(f"{type(error).__name__}: {one_line(error, hide)}")
    if isinstance(error, SystemExit):
        return errors.EnvExited(hide(errors.said(error.code)), place, printed)
    if isinstance(error, CommandError) and "expected to match one row" in str(error):
        return errors.WriteWithoutEffect("the version table", one_line(error, hide))
    return of_something_missing(error, place, hide) or errors.EnvFailed(_reason(error, hide), place, printed)


def of_setup(error: BaseException, what: str, printed: str, hide: Hide) -> RescueError:
    """Return the error of the project's own code that makes its configuration; `what` names it for people."""
    place = place_of_setup(error)
    if isinstance(error, SystemExit):
        return errors.SetupFailed(what, place, f"it exited (sys.exit: {hide(errors.said(error.code))})", printed)
    return of_something_missing(error, place, hide, what) or errors.SetupFailed(
        what, place, _reason(error, hide), printed
    )


def _imported_by_sqlalchemy(error: ModuleNotFoundError) -> bool:
    """Return whether SQLAlchemy raised it: it imports only a URL's driver on its own, so only that can be missing."""
    *_, last = traceback.extract_tb(error.__traceback__)
    return "sqlalchemy" in Path(last.filename).parts


def of_something_missing(error: BaseException, place: str, hide: Hide, what: str = "env.py") -> RescueError | None:
    """Return the error for a missing variable, driver or module that `what` needs, if that caused `error`."""
    for link in chain(error):
        if isinstance(link, KeyError) and link.args and _raised_by_environ(link):
            return errors.EnvVariableMissing(hide(str(link.args[0])), place, what)
        if isinstance(link, ModuleNotFoundError) and (link.name in drivers.packages() or _imported_by_sqlalchemy(link)):
            return errors.DriverMissing(str(link.name), place, what, urls.plain_means(str(link.name)))
        if isinstance(link, ModuleNotFoundError):
            return errors.ModuleMissing(str(link.name), place)
    return None


def _reason(error: BaseException, hide: Hide) -> str:
    reason = one_line(error, hide)
    if isinstance(error, NoSuchModuleError) and ":postgres" in reason and ":postgresql" not in reason:
        return f"{reason}. SQLAlchemy needs postgresql:// in place of postgres://"
    if isinstance(error, NoSuchModuleError):
        return f"{reason} (is the URL still the template's driver://...?)"
    if isinstance(error, (ArgumentError, AttributeError)) and compat.is_url_none(reason):
        return "the URL is None: is the variable that holds it unset?"
    return reason if isinstance(error, CommandError) else f"{type(error).__name__}: {reason}"


_PACKAGE = Path(__file__).parents[1]
_WRAPS = Path(__file__).with_name("waits.py")
"""It sits between SQLAlchemy and each driver, whoever the caller is."""
_LIBRARIES = frozenset(Path(str(package.__file__)).parent for package in (sqlalchemy, alembic))
_STANDARD = Path(sysconfig.get_path("stdlib"))
_INSTALLED = frozenset(["site-packages", "dist-packages"])
"""Below the project's root, these contain other people's code: its virtual environment."""


def _raised_by_environ(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].name == "__getitem__" and "_Environ" in _self_type(error)


def _of_package(frames: Iterable[traceback.FrameSummary]) -> bool:
    """Return whether one of them is in this package; the demo's project counts as any other project."""
    return any(_PACKAGE in folders and _PACKAGE / "demo" not in folders for folders in map(_folders, frames))


def _folders(frame: traceback.FrameSummary) -> set[Path]:
    return set(Path(frame.filename).parents)


def _self_type(error: BaseException) -> str:
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    return type(step.tb_frame.f_locals.get("self")).__name__ if step is not None else ""


def is_ours(error: BaseException) -> bool:
    """Return whether a line of this package, or a library that it called, raised it: not env.py."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if _of_package([frame]) and Path(frame.filename) != _WRAPS:
            return True
        if not _of_library(frame):
            return False
    return False


def _of_library(frame: traceback.FrameSummary) -> bool:
    """Return whether it belongs to SQLAlchemy, Alembic, a driver, or Python itself."""
    folders = _folders(frame)
    pythons = _STANDARD in folders and not _INSTALLED & {folder.name for folder in folders}
    wraps = Path(frame.filename) == _WRAPS
    return bool(_LIBRARIES & folders) or pythons or wraps or Path(frame.filename).parent.name in drivers.packages()


def place_of(error: BaseException, env_path: Path) -> str:
    """Return ``file:line`` of the project's own code nearest to where `error` was raised."""
    return place_in(error, _root(env_path.resolve().parent), shown(env_path))


def place_in(error: BaseException, root: Path, otherwise: str) -> str:
    """Return ``file:line`` of the code below `root`, installed packages excluded, nearest to where `error` arose."""
    found = otherwise
    if isinstance(error, SyntaxError) and error.filename:
        return f"{shown(Path(error.filename))}:{error.lineno}"
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename)
        below = path.resolve().relative_to(root) if root in path.resolve().parents else None
        if below is not None and path.is_file() and not _INSTALLED & set(below.parts):
            found = f"{shown(path)}:{frame.lineno}"
    return found


def _root(scripts: Path) -> Path:
    """Return the project folder for these `scripts`; in an installed package they may be the package itself."""
    return scripts if scripts.parent.name in _INSTALLED else scripts.parent


def place_of_setup(error: BaseException) -> str:
    """Return ``file:line`` of the code below the working directory nearest to the error, else of the last frame."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _of_package([frame])]
    last = f"{shown(Path(frames[-1].filename))}:{frames[-1].lineno}" if frames else "its call"
    return place_in(error, Path.cwd(), last)


def shown(path: Path) -> str:
    """Return `path` for people: relative to the working directory if it is below it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def one_line(error: BaseException, hide: Hide) -> str:
    """Return the message of `error` on one line, without SQLAlchemy's statement and link, and without secrets."""
    text = drivers.error_text(error.orig if isinstance(error, DBAPIError) and error.orig is not None else error)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    kept = [
        line for line in lines if line and not line.startswith(("[SQL:", "(Background on this error", "LINE ", "^"))
    ]
    return hide(" ".join(kept)) or type(error).__name__
