"""What all refusals and errors have in common, the exit statuses, and the three main kinds.

An error is declared by its code, its facts and its text.  The facts are annotated attributes, in the order of the
constructor's arguments; the text is made from them once, when the error is created::

    class UnknownHost(DatabaseError):
        code = "unknown-host"
        database: str
        reason: str

        def _text(self) -> Text:
            return Text(f"the host of {self.database} cannot be found: {self.reason}", HOSTED)

An error without a text of its own takes its message and its help as arguments.  Both may be changed afterwards; the
changed ones are shown, pickled and sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from inspect import Parameter, Signature, get_annotations
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform

    from alembic_rescue.model import Blocker, Report
else:

    def dataclass_transform(*, eq_default: bool) -> Any:
        """Only type checkers use it."""
        assert not eq_default
        return lambda kind: kind


DONE = 0
INTERNAL = 1
USAGE = 2
REFUSED = 3
DATABASE = 4
NOT_VERIFIED = 5
INTERRUPTED = 130

KIND = "$"
"""The JSON key with a value's class name; see :mod:`alembic_rescue.errors.travel`."""
_NO_FACTS = ("message", "help", "report")
"""Arguments of some errors that are sent separately or not at all."""

Kind = TypeVar("Kind", bound="RescueError")


class Text(NamedTuple):
    """What an error says: the fact, and what to do about it."""

    message: str
    help: str


@dataclass_transform(eq_default=False)
class RescueError(Exception):
    """A refusal or an error: ``code`` for machines, ``message`` for the fact, ``help`` for what to do about it.

    ``str(error)`` is always its message.  Each fact is an attribute, and :attr:`facts` has all of them.
    """

    code: str
    message: str
    help: str
    exit_status: ClassVar[int] = INTERNAL
    report: Report | None = None
    """What was known when it was raised, shown together with it.  Never sent to another process."""
    blockers: tuple[Blocker, ...] = ()
    """The sessions that held the lock, if a lock was not acquired."""
    trace: str | None = None
    """The traceback from the other process, if it was raised in one."""

    kinds: ClassVar[dict[str, type[RescueError]]] = {}
    """Each kind of error by its class name."""

    def __init_subclass__(cls) -> None:
        RescueError.kinds.setdefault(cls.__name__, cls)

    def __init__(self, *given: object, **named: object) -> None:
        bound = _signature(type(self)).bind(*given, **named)
        bound.apply_defaults()
        for name, value in bound.arguments.items():
            setattr(self, name, tuple(value) if isinstance(value, list) else value)
        self.message, self.help = self._text()
        super().__init__(self.message)

    def _text(self) -> Text:
        """Make the text from the facts alone."""
        return Text(self.message, self.help)

    @property
    def facts(self) -> dict[str, Any]:
        """What it was made from, by name, as JSON values."""
        return {name: plain(getattr(self, name)) for name in facts_of(type(self))}

    def to_json(self) -> dict[str, Any]:
        """Everything except the report, for :func:`alembic_rescue.errors.from_json`."""
        return {
            "kind": type(self).__name__,
            "code": self.code,
            "message": self.message,
            "help": self.help,
            "facts": self.facts,
            "blockers": plain(self.blockers),
            "trace": self.trace,
        }

    def __str__(self) -> str:
        return self.message

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return unmade, (type(self), self.message), vars(self)


class UsageError(RescueError):
    """The call or the project's configuration cannot be used as it is."""

    exit_status = USAGE


class Refusal(RescueError):
    """A check failed.  Nothing was written."""

    exit_status = REFUSED


class DatabaseError(RescueError):
    """The database cannot be reached, denies permission, or does not answer in time."""

    exit_status = DATABASE


def _signature(kind: type[RescueError]) -> Signature:
    """The constructor's arguments: the annotated attributes of the class that defines the text, with their defaults."""
    declaring = next(one for one in kind.__mro__ if "_text" in vars(one))
    names = ["message", "help"] if declaring is RescueError else list(get_annotations(declaring))
    defaults = vars(declaring)
    return Signature(
        [Parameter(one, Parameter.POSITIONAL_OR_KEYWORD, default=defaults.get(one, Parameter.empty)) for one in names]
    )


def facts_of(kind: type[RescueError]) -> list[str]:
    """The names of the facts that errors of this kind have."""
    return [name for name in _signature(kind).parameters if name not in _NO_FACTS]


def unmade(kind: type[Kind], message: str) -> Kind:
    """Return an error without attributes, for the caller to set.  The constructor is not called."""
    error = kind.__new__(kind)
    error.args = (message,)
    return error


def plain(value: object) -> Any:
    """Convert a value to JSON values; a dataclass includes its class name."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, (tuple, list)):
        return [plain(one) for one in value]
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {KIND: type(value).__name__, **{one.name: plain(getattr(value, one.name)) for one in fields(value)}}
    raise TypeError(f"an error's fact cannot be {type(value).__name__}")
