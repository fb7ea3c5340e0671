"""Names that say that their value is secret.  Pure."""

from __future__ import annotations

import re

NAME = (
    r"(?:passw(?:or)?d|passphrase|secret|token|credential"
    r"|(?:api|access|secret|private|encryption|signing|master)[_-]?key"
    r"|(?<![^\W_])(?:pass|passfile|pwd))"
    r"(?:[_-]?(?:hash|digest|salt|encrypted|value|\d{1,3}))?(?!\w)"
)
"""The end of such a name, in any case: ``db_password``, ``apiKey``, ``token_hash``.  It needs no backward search for
the start, so that a word of a megabyte is read only once."""
_COLUMN = re.compile(rf"{NAME}\W*\Z", re.IGNORECASE)
_VARIABLE = re.compile(
    r"passw|passphrase|secret|token|credential|(?:api|access|private|encryption|signing|master)_?key"
    r"|_(?:pass|pwd|key)\Z",
    re.IGNORECASE,
)
_OF_A_PLACE = re.compile(r"_(?:file|path|dir|url|uri)\Z", re.IGNORECASE)


_HINTS = ("pass", "pwd", "secret", "token", "credential", "key")


def is_in(text: str) -> bool:
    """Return whether a text can contain such a name at all: most cannot, and need no further check."""
    lowered = text.lower()
    return any(hint in lowered for hint in _HINTS)


def is_secret(name: str) -> bool:
    """Return whether the name of a column, an option or a setting says that its value is secret."""
    return _COLUMN.search(name[-80:]) is not None


def is_secret_variable(name: str, value: str) -> bool:
    """Return whether an environment variable's name says so; one that is only called a key may hold a path instead."""
    is_path = name.lower().endswith("_key") and value.startswith(("/", "./", "~/"))
    return _VARIABLE.search(name) is not None and _OF_A_PLACE.search(name) is None and not is_path
