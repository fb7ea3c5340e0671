"""Take passwords out of text.  Pure: what is secret is told, and what looks secret is found.

Two nets, because neither holds alone: the *known* secrets of this run (the passwords of every URL that was
seen, in plain and in percent-encoded form), and the *shape* of secrets (``://user:word@``, ``password=word``,
``PASSWORD 'word'``) for those that were never seen, such as another session's query.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus, unquote

MASK = "***"

_URL_PASSWORD = re.compile(r"(?P<before>[a-zA-Z][\w+.-]*://[^\s:/?#'\"]*:)(?P<secret>[^\s'\"]*)(?P<after>@)")
_NAMED = re.compile(
    r"(?P<before>\b(?:pass(?:word|wd|phrase|file)?|pwd|pgpassword|sslpassword|secret|token|api_?key)['\"]?\s*[=:]\s*)"
    r"(?P<secret>'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.)*\"|[^\s,;&)'\"]+)",
    re.IGNORECASE,
)
_SQL_PASSWORD = re.compile(
    r"(?P<before>\bpassword\s+(?:e|u&)?)(?P<secret>'(?:[^'\\]|\\.|'')*'?|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)",
    re.IGNORECASE | re.DOTALL,
)
_SHORTEST = 3
"""A known secret shorter than this is left to the shapes: masking every ``a`` would hide the message instead."""


def forms(secret: str) -> set[str]:
    """Every way in which one secret may be written: plain, percent-encoded, doubled for an ini file, ``repr``."""
    plain = {secret, unquote(secret)}
    encoded = {quote(s, safe="") for s in plain} | {quote_plus(s) for s in plain} | {quote(s) for s in plain}
    written = plain | encoded
    written |= {s.replace("%", "%%") for s in written}
    written |= {repr(s)[1:-1] for s in plain} | {s.replace("'", "''") for s in plain}
    return {s for s in written if len(s) >= _SHORTEST}


def hide(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` with every known secret, and everything in the place of a password, replaced by ``***``."""
    for form in sorted({f for s in secrets for f in forms(s)}, key=len, reverse=True):
        text = text.replace(form, MASK)
    text = _URL_PASSWORD.sub(rf"\g<before>{MASK}\g<after>", text)
    text = _SQL_PASSWORD.sub(rf"\g<before>'{MASK}'", text)
    return _NAMED.sub(rf"\g<before>{MASK}", text)


class Secrets:
    """The known secrets of one run.  Whatever leaves the program as text goes through :meth:`hide`."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def add(self, *values: object) -> None:
        """Remember secrets as they come; None and empty ones are passed over."""
        self._known.update(str(v) for v in values if v)

    def add_url(self, text: str) -> None:
        """Remember the password of a URL, read by its shape: it may be one that no library can parse."""
        self.add(*(m["secret"] for m in _URL_PASSWORD.finditer(text)))
        self.add(*(m["secret"] for m in _NAMED.finditer(text)))

    def hide(self, text: str) -> str:
        """See :func:`hide`."""
        return hide(text, self._known)
