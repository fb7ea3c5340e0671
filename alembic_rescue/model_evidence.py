"""What a migration leaves behind, what a database holds, and what the two prove.  Frozen values, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Union

Facts = Mapping[str, Any]
"""What is known of an object, by name: ``type``, ``nullable``, ``default``, ``columns``, ``labels``, ``unique`` ...
Both sides, migration and catalog, use the same names, because both are read from DDL by :mod:`alembic_rescue.ddl`."""


class Verdict(str, Enum):
    """Whether what a revision creates is there.  Only APPLIED means that it was proved."""

    APPLIED = "applied"
    PARTIAL = "partial"
    NOT_APPLIED = "not-applied"
    UNVERIFIABLE = "unverifiable"
    EMPTY = "empty"


class Kind(str, Enum):
    """What an object is.  All constraints share one kind, as they share one namespace on their table."""

    SCHEMA = "schema"
    EXTENSION = "extension"
    TABLE = "table"
    COLUMN = "column"
    CONSTRAINT = "constraint"
    INDEX = "index"
    ENUM = "enum"
    ENUM_LABEL = "enum-label"
    DOMAIN = "domain"
    TYPE = "type"
    SEQUENCE = "sequence"
    VIEW = "view"
    MATERIALIZED_VIEW = "materialized-view"
    FUNCTION = "function"
    TRIGGER = "trigger"
    POLICY = "policy"
    GRANT = "grant"


@dataclass(frozen=True)
class Key:
    """The identity of an object in a database."""

    kind: Kind
    schema: str | None
    """None: where the search path leads."""
    parent: str | None
    """The table of a column, constraint, trigger, policy or grant; the type of an enum's label; else None."""
    name: str

    def __str__(self) -> str:
        return ".".join(part for part in (self.schema, self.parent, self.name) if part)

    @property
    def table(self) -> Key | None:
        """The table that the object belongs to; None for one that belongs to none."""
        if self.parent is None or self.kind is Kind.ENUM_LABEL:
            return None
        return Key(Kind.TABLE, self.schema, None, self.parent)


@dataclass(frozen=True)
class Create:
    """The object is there afterwards, with these facts."""

    key: Key
    facts: Facts = field(default_factory=dict)
    conditional: bool = False
    """``IF NOT EXISTS``: an object that is there stays as it is."""


@dataclass(frozen=True)
class Alter:
    """The object is there afterwards, and these facts hold of it; the others are as they were."""

    key: Key
    facts: Facts


@dataclass(frozen=True)
class Drop:
    """The object is not there afterwards, nor what belongs to it."""

    key: Key
    conditional: bool = False
    """``IF EXISTS``: that it is not there proves nothing."""


@dataclass(frozen=True)
class Rename:
    """The object, with everything that belongs to it, has another name or schema afterwards."""

    key: Key
    to: Key


@dataclass(frozen=True)
class Opaque:
    """Something happens that no catalog can answer for, or that could not be read."""

    reason: str
    table: Key | None = None
    """The table whose rows are changed, where that is all that happens: once it is dropped, so is the question."""


Effect = Union[Create, Alter, Drop, Rename, Opaque]


@dataclass(frozen=True, eq=False)
class Statement:
    """One statement that a migration sends, with what it does.  Each is itself only: two alike are two."""

    revision: str
    sql: str
    effects: tuple[Effect, ...]
    path: str = ""
    line: int | None = None
    """Of the migration's file."""
    hypothetical: bool = False
    """A guard of the migration holds it back on this database as it stands."""


@dataclass(frozen=True)
class Expectation:
    """What must hold of one object once a range of revisions has run."""

    key: Key
    present: bool
    facts: Facts = field(default_factory=dict)
    created: bool = False
    """Created within the range: the facts are all there is to know."""
    vacuous: bool = False
    """That it holds proves nothing, because it would hold had nothing run; that it does not hold does."""
    history: tuple[Statement, ...] = ()
    """The statements that made it so: run in order where nothing of it is there, they make it so again."""
    origin: Mapping[str, Statement] = field(default_factory=dict)
    """The statement that each fact comes from."""
    born: Key | None = None
    """Its key when it was created."""
    former: Key | None = None
    """The name that the last rename took away."""
    renames: tuple[tuple[int, Key, Key], ...] = ()
    """What it mentions and goes by another name since: after how many statements of `history`, from what, to what."""
    within: Statement | None = None
    """The statement that makes the table as well, for what comes and goes with it."""

    @property
    def revisions(self) -> tuple[str, ...]:
        """Those that it comes from, in order."""
        return tuple(dict.fromkeys(statement.revision for statement in self.history))

    def renames_after(self, count: int) -> list[tuple[Key, Key]]:
        """Those that the first `count` statements of `history` do not know of."""
        return [(old, new) for known, old, new in self.renames if known >= count]

    def with_facts(self, facts: Facts, statement: Statement) -> Expectation:
        """The same after a statement that changes these facts."""
        return replace(
            self,
            facts={**self.facts, **facts},
            origin={**self.origin, **dict.fromkeys(facts, statement)},
            history=(*self.history, statement),
        )


class Presence(str, Enum):
    """Whether what is expected of an object holds."""

    PRESENT = "present"
    ABSENT = "absent"
    DIFFERENT = "different"
    UNVERIFIABLE = "unverifiable"


@dataclass(frozen=True)
class ObjectEvidence:
    """One object in the light of the catalog."""

    kind: str
    name: str
    expected: str
    """``present`` or ``absent``."""
    presence: Presence
    detail: str | None
    path: str
    line: int | None
    sql: str | None
    """What would make it so; None where it is so, or where another object's statement brings it along."""
    vacuous: bool = False
    """It holds, but would hold too if the revision had never run."""

    @property
    def met(self) -> bool:
        """What is expected holds."""
        return self.presence.value == self.expected


@dataclass(frozen=True)
class RevisionEvidence:
    """One revision in the light of the catalog."""

    revision: str
    verdict: Verdict
    objects: tuple[ObjectEvidence, ...]
    cancelled_by: tuple[str, ...] = ()
    """Later revisions of the range that take back or replace effects of this one."""

    @property
    def missing(self) -> tuple[ObjectEvidence, ...]:
        """What does not hold."""
        return tuple(o for o in self.objects if not o.met and o.presence is not Presence.UNVERIFIABLE)


@dataclass(frozen=True)
class Footprint:
    """What the replay of one revision recorded."""

    revision: str
    statements: tuple[Statement, ...]
    failure: str | None = None
    """Why the replay could not be finished; what was recorded until then still counts against the revision."""
    failure_line: int | None = None
    path: str = ""


@dataclass(frozen=True)
class Cause:
    """A statement of a pending migration that must fail on the database as it stands."""

    revision: str
    path: str
    line: int
    statement: str
    """Its first words."""
    error: str
    """Why it must fail: what exists already, or does not exist."""
    swallowed: bool
    """Inside a ``try``/``except`` that hides the failure, without a SAVEPOINT."""
    handler_line: int | None
    """Of the ``except``."""
    mend: str
    aborts: bool = True
    """The failure aborts the transaction, and the run is rolled back with it; else the version moves on over it."""


@dataclass(frozen=True)
class Proof:
    """The evidence for a range of revisions on one database, and what follows from it."""

    revisions: tuple[RevisionEvidence, ...]
    proved: str | None
    """The furthest revision up to which everything is proved; None where nothing is."""
    causes: tuple[Cause, ...] = ()
    transactional: bool = True
    """A run that fails is rolled back as a whole; else each statement stays that ran before the failure."""
