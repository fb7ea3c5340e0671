"""MySQL's and MariaDB's errors, as each driver reports them."""

from __future__ import annotations

from collections.abc import Mapping

from alembic_rescue import errors
from alembic_rescue.dialects import base
from alembic_rescue.dialects.mysql.drivers import PACKAGES
from alembic_rescue.errors import RescueError


class Failures(base.Failures):
    """Errors by their number."""

    codes: Mapping[str, type[RescueError]] = {
        **dict.fromkeys(("1044", "1045", "1129", "1130", "1698", "2059"), errors.LoginRefused),
        "1049": errors.DatabaseMissing,
        **dict.fromkeys(("1040", "1203", "1226"), errors.TooManyConnections),
        "2005": errors.UnknownHost,
        **dict.fromkeys(("2026", "3159"), errors.EncryptionFailed),
        **dict.fromkeys(("1053", "1927", "2006", "2055", "4031"), errors.ConnectionLost),
        **dict.fromkeys(("1317", "1969", "3024"), errors.StatementTimeout),
        **dict.fromkeys(("1290", "1792", "1836"), errors.ReadOnlyServer),
        **dict.fromkeys(("1205", "1213"), errors.LockTimeout),
        **dict.fromkeys(("1142", "1143", "1227"), errors.PermissionDenied),
    }
    vague: Mapping[str, type[RescueError]] = {
        "2002": errors.ConnectionRefused,
        "2003": errors.ConnectionRefused,
        "2013": errors.ConnectionLost,  # also for a server that accepted the connection and then stayed silent
    }
    words = ((r"can't connect .*\(110\)|system error: 110", errors.ConnectTimeout),)

    def code_of(self, error: BaseException | None) -> str | None:
        """Return the first argument."""
        told = _told(error)
        return told and told[0]

    def text_of(self, error: BaseException) -> str | None:
        """Return the second argument."""
        told = _told(error)
        return told and told[1]


def _told(error: BaseException | None) -> tuple[str, str] | None:
    """Return the number and the text of an error from one of MySQL's drivers; None for other errors."""
    arguments = getattr(error, "args", ())
    ours = type(error).__module__.partition(".")[0] in PACKAGES
    if error is None or not ours or not arguments or not isinstance(arguments[0], int):
        return None
    text = str(arguments[1]) if len(arguments) > 1 else type(error).__name__
    if isinstance(error.__cause__, OSError) and str(error.__cause__) not in text:  # aiomysql keeps the reason separate
        text += f" ({error.__cause__})"
    return str(arguments[0]), text
