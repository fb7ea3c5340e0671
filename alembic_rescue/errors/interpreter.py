"""The Python that ``--python`` names cannot be used as the project's (exit status 2)."""

from __future__ import annotations

from collections.abc import Sequence

from alembic_rescue.errors.base import Text, UsageError
from alembic_rescue.errors.words import listed

_NAME_IT = (
    "pass the interpreter that runs the project's alembic, such as .venv/bin/python, or the folder of its environment. "
    'To find it: `head -1 "$(command -v alembic)"`'
)


class NoPython(UsageError):
    """The path does not exist, or is not a Python."""

    code = "no-python"
    path: str
    reason: str

    def _text(self) -> Text:
        return Text(f"{self.path} cannot be used as the project's Python: {self.reason}", _NAME_IT)


class AlembicMissing(UsageError):
    """It is a Python, but the project's packages are not installed in it."""

    code = "alembic-missing"
    path: str
    packages: Sequence[str]

    def _text(self) -> Text:
        verb = "are" if len(self.packages) > 1 else "is"
        return Text(f"{listed(self.packages)} {verb} not installed for {self.path}", _NAME_IT)


class TooOld(UsageError):
    """It is the project's Python, but a version in it is too old for the tool."""

    code = "too-old"
    path: str
    what: str
    found: str
    needed: str

    def _text(self) -> Text:
        return Text(
            f"{self.path} has {self.what} {self.found}; alembic-rescue needs {self.what} {self.needed} or later",
            f"upgrade {self.what} in the project's environment, or in a copy of it; "
            "alembic-rescue need not be installed there",
        )
