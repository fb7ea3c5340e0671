"""Sealed plans as files: mode 0600, because a plan reveals what is in a database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic_rescue import errors
from alembic_rescue.evidence.model import Verdict
from alembic_rescue.records import files, seal


@dataclass(frozen=True)
class SealedPlan:
    """A plan as it was approved."""

    name: str
    """Its file name, as given."""
    target: str
    parts: Mapping[str, Any]
    """See :func:`alembic_rescue.records.seal.parts`."""

    @property
    def only(self) -> str | None:
        """The one database that it is for, if env.py visits several."""
        only: str | None = self.parts["only"]
        return only

    def accepted(self, *verdicts: Verdict) -> list[str]:
        """Return the revisions with one of these verdicts that the plan accepts."""
        found = []
        for part in self.parts["databases"]:
            found += [one for one in part["accepted"] if part["verdicts"][one] in {each.value for each in verdicts}]
        return found


def write(name: str, path: Path, content: Mapping[str, Any]) -> None:
    """Write a sealed plan's content to its file.

    Raises:
        CannotWriteFile: see its docstring.
    """
    try:
        if path.exists() and not _is_a_plan(path):
            raise errors.CannotWriteFile(name, "it already exists and is not a plan")
        files.write(path, content)
    except OSError as error:
        raise errors.CannotWriteFile(name, error.strerror or str(error)) from error


def _is_a_plan(path: Path) -> bool:
    try:
        return "seal" in files.read(path)
    except files.NotADocument:
        return False


def read(path: Path, key: str) -> SealedPlan:
    """Read a sealed plan.

    Raises:
        PlanKeyNeeded: it is sealed with a key.
        BadPlanFile: it cannot be read, is not a plan, or is not as sealed with `key` (empty: without a key).
    """
    content = files.read_as(errors.BadPlanFile, path)
    if not content.keys() >= {"seal", "sealed", "target"}:
        raise errors.BadPlanFile(str(path), "it has no seal")
    if seal.is_keyed(content) and not key:
        raise errors.PlanKeyNeeded(str(path), seal.KEY_VARIABLE)
    try:
        parts = seal.opened(content, key)
    except ValueError as error:
        raise errors.BadPlanFile(str(path), str(error)) from error
    except RecursionError as error:
        raise errors.BadPlanFile(str(path), "it is nested too deeply") from error
    try:
        target = content["target"]
        asked = target["revisions"][0] if len(target["revisions"]) == 1 else target["revision"]
        return SealedPlan(str(path), str(asked), parts)
    except (KeyError, TypeError, IndexError) as error:
        raise errors.BadPlanFile(str(path), "it is not in the format of a plan") from error
