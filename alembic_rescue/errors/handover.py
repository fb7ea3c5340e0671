"""A stamp cannot be made into a file (exit status 3)."""

from __future__ import annotations

from collections.abc import Sequence

from alembic_rescue.errors.base import Refusal, Text
from alembic_rescue.errors.words import code, listed


class NoScriptFor(Refusal):
    """No shell client is known for this kind of database."""

    code = "no-script-for-dialect"
    dialect: str
    known: Sequence[str]

    def _text(self) -> Text:
        return Text(
            f"scripts are not available for {self.dialect}, only for {listed(self.known)}",
            "stamp it from a machine with Python: `alembic-rescue stamp REVISION`",
        )


class ScriptForOneDatabase(Refusal):
    """env.py visits several databases, but a script is for one."""

    code = "script-for-one-database"
    target: str
    shell: str
    names: Sequence[str]

    def _text(self) -> Text:
        commands = [f"alembic-rescue script {self.target} --for {self.shell} --only {name}" for name in self.names]
        return Text(
            f"a script is for one database, but env.py visits several: {listed(self.names)}",
            f"create one for each: {'; '.join(code(one) for one in commands)}",
        )


class ScriptCannotName(Refusal):
    """A name in the database has unprintable characters, such as a newline."""

    code = "script-cannot-name"
    name: str

    def _text(self) -> Text:
        return Text(
            f"a script cannot contain the name {self.name!r}, because it has unprintable characters",
            "stamp it from a machine with Python: `alembic-rescue stamp REVISION`",
        )


class ScriptMoved(Refusal):
    """Something changed in the database while the script was made."""

    code = "script-moved"

    def _text(self) -> Text:
        return Text(
            "the database changed while the script was being created, so the script would not check what was proved",
            "create it again when nothing else is changing the database",
        )


class ScriptHoldsSecret(Refusal):
    """The script would contain a known secret."""

    code = "script-holds-secret"

    def _text(self) -> Text:
        return Text(
            "the script would contain a secret: one of its names or ids is a known password",
            "stamp it from a machine with Python: `alembic-rescue stamp REVISION`",
        )
