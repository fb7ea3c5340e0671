"""Receipts: the old rows, the new rows, and the way back.  One JSON file each, mode 0600.

A receipt on disk means that its stamp was about to be made.  It is written, and synced, before the first statement, and
completed (in one rename) once the outcome is known.  None is ever deleted.  Its digest guards against mistakes, not
forgery.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import platformdirs

from alembic_rescue import errors
from alembic_rescue.evidence.model import ObjectEvidence, Presence, Verdict
from alembic_rescue.model import NULL_ROW, DatabaseReport, Identity, Receipt, ReceiptPart, ReceiptState, Revision
from alembic_rescue.records import files, seal
from alembic_rescue.records.form import fits

FORMAT = 3
_SUFFIX = ".json"
_SEAL = "seal"


def folder_of(settings: Mapping[str, str]) -> Path:
    """Return the folder from the project's setting, otherwise the user's own."""
    chosen = settings.get("receipts")
    return Path(chosen).expanduser().absolute() if chosen else default_folder()


def default_folder() -> Path:
    """Return ``$XDG_STATE_HOME/alembic-rescue``, or the platform's folder for user state."""
    if folder := os.environ.get("XDG_STATE_HOME"):
        return Path(folder) / "alembic-rescue"
    return platformdirs.user_state_path("alembic-rescue", appauthor=False)


def begin(
    folder: Path,
    command: str,
    target: str,
    reason: str,
    parts: Sequence[ReceiptPart],
    undoes: str | None = None,
    *,
    alembic: str,
) -> Receipt:
    """Write a new receipt to disk and return it; `alembic` is the version of the project's Alembic.

    Raises:
        ReceiptNotWritten: the disk refuses it; then nothing may be stamped.
    """
    created = datetime.now(timezone.utc)
    receipt_id = f"{created:%Y%m%dT%H%M%S}-{command}-{secrets.token_hex(3)}"
    receipt = Receipt(
        id=receipt_id,
        command=command,
        created=created,
        target=target,
        reason=reason,
        parts=tuple(parts),
        undoes=undoes,
        tool_version=version("alembic-rescue"),
        alembic_version=alembic,
        path=folder / f"{receipt_id}{_SUFFIX}",
    )
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=stat.S_IRWXU)
        files.write(receipt.path, to_json(receipt))
    except OSError as error:
        raise errors.ReceiptNotWritten(str(folder), error.strerror or str(error)) from error
    return receipt


def part(planned: DatabaseReport, table: str) -> ReceiptPart:
    """Return a part for :func:`begin`.

    Args:
        planned: what is about to be written.
        table: the version table as SQL, quoted, for the statements that go back by hand.
    """
    to_restore = planned.database.current_heads if planned.goes_back else planned.rows_before
    return ReceiptPart(
        database=planned.database.identity,
        state=ReceiptState.BEGUN,
        rows_before=planned.rows_before,
        rows_after=planned.heads_after,
        rows_found=None,
        skipped=tuple(replace(revision, objects=revision.missing) for revision in planned.revisions),
        sql=restoring_sql(table, to_restore, planned.heads_after),
        empties=any(stamp.purge for stamp in planned.stamps),
    )


def complete(receipt: Receipt, parts: Sequence[ReceiptPart]) -> Receipt:
    """Return `receipt` with the outcome of its parts, and write it to disk.

    If the disk refuses, the receipt as begun is still there, and still leads back.
    """
    completed = replace(receipt, parts=tuple(parts))
    with suppress(OSError):
        files.write(completed.path, to_json(completed))
    return completed


def way_back(rows_before: Sequence[str], rows_after: Sequence[str], found: Sequence[str]) -> tuple[str, ...]:
    """Return the rows that an undo restores from `found`: those before, plus rows that others added to the stamp's."""
    beside = set(found) - {*rows_before, *rows_after} if set(rows_after) <= set(found) else set()
    return tuple(sorted({*rows_before, *beside}))


def restoring_sql(table: str, rows_before: Sequence[str], rows_after: Sequence[str]) -> tuple[str, ...]:
    """Return the statements that restore `rows_before` where `rows_after` are now, for a person with psql."""
    before, after = Counter(rows_before), Counter(rows_after)  # a table without a primary key may have one twice
    gone, new = sorted((before - after).elements()), sorted((after - before).elements())
    if len(gone) == len(new) == 1:
        return (f"UPDATE {table} SET version_num = {_literal(gone[0])} WHERE version_num = {_literal(new[0])};",)  # noqa: S608
    statements = [f"DELETE FROM {table} WHERE version_num = {_literal(row)};" for row in new]  # noqa: S608
    statements += [f"INSERT INTO {table} (version_num) VALUES ({_literal(row)});" for row in gone]  # noqa: S608
    return ("BEGIN;", *statements, "COMMIT;") if len(statements) > 1 else tuple(statements)


def listed(folder: Path) -> list[Receipt]:
    """Return all receipts of `folder`, the oldest first; other files and changed receipts are skipped."""
    found = []
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        try:
            found.append(read(path))
        except errors.BadReceipt:
            continue
    return sorted(found, key=lambda receipt: (receipt.created, receipt.id))


def read(path: Path) -> Receipt:
    """Read one receipt.

    Raises:
        BadReceipt: the file cannot be read, is not a receipt, or was changed since it was written.
    """
    content = files.read_as(errors.BadReceipt, path)
    written = content.pop(_SEAL, None)
    if (format_ := content.get("format", FORMAT)) != FORMAT:
        raise errors.BadReceipt(str(path), f"its format is {format_}, but this version reads {FORMAT}")
    if written is None:
        raise errors.BadReceipt(str(path), "it is not in the format of a receipt")
    try:
        if seal.digest(content) != written:
            raise errors.BadReceipt(str(path), "it was changed after it was written")
        return _from_json(content, path)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise errors.BadReceipt(str(path), "it is not in the format of a receipt") from error


def find(folder: Path, named: str) -> Receipt:
    """Return the receipt that `named` means: a file, an id, or a unique beginning of an id.

    Raises:
        NoReceipt, BadReceipt: see their docstrings.
    """
    if named.endswith(_SUFFIX) or os.sep in named:
        return read(Path(named))
    matching = [receipt for receipt in listed(folder) if receipt.id.startswith(named)]
    if len(matching) != 1:
        several = f" (several begin so: {errors.listed(r.id for r in matching)})" if matching else ""
        raise errors.NoReceipt(f"{named}{several}", str(folder))
    return matching[0]


def to_json(receipt: Receipt) -> dict[str, Any]:
    """Return the receipt as stored in its file."""
    content = {"format": FORMAT, **asdict(receipt), "state": receipt.state}
    content["created"] = receipt.created.isoformat()
    del content["path"]
    return {**content, _SEAL: seal.digest(content)}


def _from_json(content: dict[str, Any], path: Path) -> Receipt:
    del content["state"], content["format"]
    receipt = Receipt(
        **{
            **content,
            "created": datetime.fromisoformat(content["created"]).astimezone(timezone.utc),
            "parts": tuple(_part(part) for part in content["parts"]),
            "path": path,
        }
    )
    if not receipt.parts or not fits(receipt, Receipt):
        raise ValueError("it is not in the format of a receipt")
    return receipt


def _part(content: dict[str, Any]) -> ReceiptPart:
    found = content["rows_found"]
    return ReceiptPart(
        **{
            **content,
            **{key: tuple(content[key]) for key in ("rows_before", "rows_after", "sql")},
            "rows_found": None if found is None else tuple(found),
            "state": ReceiptState(content["state"]),
            "database": Identity(**content["database"]),
            "skipped": tuple(_revision(revision) for revision in content["skipped"]),
        }
    )


def _revision(content: dict[str, Any]) -> Revision:
    objects = tuple(ObjectEvidence(**{**o, "presence": Presence(o["presence"])}) for o in content["objects"])
    return Revision(
        **{
            **content,
            "verdict": Verdict(content["verdict"]),
            "objects": objects,
            "cancelled_by": tuple(content["cancelled_by"]),
        }
    )


def _literal(value: str) -> str:
    return "NULL" if value == NULL_ROW else "'" + value.replace("'", "''") + "'"
