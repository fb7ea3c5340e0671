"""A stamp is not made into a file (exit status 3)."""

from __future__ import annotations

from collections.abc import Sequence

from alembic_rescue.errors.base import Refusal, Text
from alembic_rescue.errors.words import listed


class NoScriptFor(Refusal):
    """No shell's client is known for this kind of database."""

    code = "no-script-for-dialect"
    dialect: str
    known: Sequence[str]

    def _text(self) -> Text:
        return Text(
            f"{self.dialect} has no script: only {listed(self.known)} has one",
            "stamp it where Python is: alembic-rescue stamp REVISION",
        )


class ScriptForOneDatabase(Refusal):
    """env.py visits several databases, and a script is for one."""

    code = "script-for-one-database"
    target: str
    shell: str
    names: Sequence[str]

    def _text(self) -> Text:
        commands = [f"alembic-rescue script {self.target} --for {self.shell} --only {name}" for name in self.names]
        return Text(
            f"env.py visits several databases, and a script is for one of them: {listed(self.names)}",
            f"make one for each: {'; '.join(commands)}",
        )


class ScriptCannotName(Refusal):
    """A name in the database holds what cannot be printed, such as the end of a line."""

    code = "script-cannot-name"
    name: str

    def _text(self) -> Text:
        return Text(
            f"a script cannot name {self.name!r}: it holds what cannot be printed",
            "stamp it where Python is: alembic-rescue stamp REVISION",
        )


class ScriptMoved(Refusal):
    """Something changed in the database while the script was made."""

    code = "script-moved"

    def _text(self) -> Text:
        return Text(
            "something changed in the database while the script was made: it would not ask for what was proved",
            "make it again, once nothing else is at work there",
        )


class ScriptHoldsSecret(Refusal):
    """What is to stand in the script has a known secret in it."""

    code = "script-holds-secret"

    def _text(self) -> Text:
        return Text(
            "the script would hold a secret: a name or an id in it is a password that is known here",
            "stamp it where Python is: alembic-rescue stamp REVISION",
        )
