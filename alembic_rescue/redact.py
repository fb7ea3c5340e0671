"""Take passwords out of text.  Pure: what is secret is told, and what looks secret is found.

Two nets, because neither holds alone: the *known* secrets of this run (the passwords of every URL that was
seen, however they are encoded), and the *shape* of secrets (``://user:word@``, ``password=word``,
``PASSWORD 'word'``) for those that were never seen, such as another session's query.

A known secret that is an ordinary word (``postgres``, ``12345``) is hidden in what others wrote, as a whole word,
and left alone in what the tool itself wrote: a mask in the middle of a known sentence would tell it.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Iterable, Mapping
from functools import lru_cache
from urllib.parse import unquote

MASK = "***"

_URL_PASSWORD = re.compile(r"(?P<before>[a-zA-Z][\w+.-]*://[^\s:/?#'\"]*:)(?P<secret>[^\s'\"]*)(?P<after>@)")
_NAMED = re.compile(
    r"(?P<before>\b(?:(?:\w+[.-]|\w*_)?(?:password|passwd|passphrase|secret|token|api_?key|access_?key|secret_?key)"
    r"|pass|passfile|pwd|pgpassword|sslpassword)['\"]?\s*[=:]\s*)"
    r"(?P<secret>\*{3}|'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.)*\"|[^\s,;&)'\"]+)",
    re.IGNORECASE,
)
_SQL_PASSWORD = re.compile(
    r"(?P<before>\b(?:password|identified\s+by)\s+(?:e|u&)?)"
    r"(?P<secret>(?P<quotes>'{2,})[^']+(?:(?P=quotes)|\Z)|'(?:[^'\\]|\\.|'')*'?"  # in a string in a string, too
    r"|\$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z))",
    re.IGNORECASE | re.DOTALL,
)
_WHOLE_URL = re.compile(r"\s*[a-zA-Z][\w+.-]*://[^:/@]*:(?P<secret>.*)@", re.DOTALL)
_SECRET_NAME = re.compile(r"passw|passphrase|secret|token|api_?key|access_?key", re.IGNORECASE)
_NAME_OF_FILE = re.compile(r"_(file|path|dir)$", re.IGNORECASE)
_SHORTEST = 3
"""A known secret shorter than this is left to the shapes: masking every ``a`` would hide the message instead."""
_SHORTEST_CUT = 5
"""The beginning of a known secret that is found where a text was cut off."""
_NEVER_ENCODED = frozenset(string.ascii_letters + string.digits)
_LONGEST_ENCODED = 200
"""A longer secret is a token or a key: it is found as it is."""
_UNMISTAKABLE = 8
"""From this length on, a secret that is more than letters or more than digits is no ordinary word."""


def hide(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` with every known secret, and everything in the place of a password, replaced by ``***``."""
    known = frozenset(secrets)
    for pattern in _patterns(known):
        text = pattern.sub(MASK, text)
    text = "...".join(_without_cut(piece, known) for piece in text.split("..."))
    text = _URL_PASSWORD.sub(rf"\g<before>{MASK}\g<after>", text)
    text = _SQL_PASSWORD.sub(rf"\g<before>'{MASK}'", text)
    return _NAMED.sub(rf"\g<before>{MASK}", text)


def is_ordinary(secret: str) -> bool:
    """Whether a text may hold this secret by chance: it is short, or a word, or a number."""
    return len(secret) < _UNMISTAKABLE or secret.isalpha() or secret.isdigit()


class Secrets:
    """The known secrets of one run.  Whatever leaves the program as text goes through :meth:`hide` or :meth:`net`."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._public: set[str] = set()

    def add(self, *values: object) -> None:
        """Remember secrets as they come; None and empty ones are passed over."""
        self._known.update(str(v) for v in values if v)

    def add_public(self, *names: str | None) -> None:
        """Remember names that are shown even where they are the password as well: of role, database, host."""
        self._public.update(name for name in names if name)

    def all(self) -> tuple[frozenset[str], frozenset[str]]:
        """The secrets, and the names that are shown even where they are secrets as well."""
        return frozenset(self._known), frozenset(self._public)

    def add_url(self, text: str) -> None:
        """Remember the password of a URL, read by its shape: it may be one that no library can parse."""
        self.add(*(m["secret"] for m in _URL_PASSWORD.finditer(text)))
        self.add(*(m["secret"].strip("'\"") for m in _NAMED.finditer(text)))
        if whole := _WHOLE_URL.match(text):  # with spaces or quotes in it; and SQLAlchemy ends it at the first @
            self.add(whole["secret"], whole["secret"].split("@")[0])

    def add_environment(self, environment: Mapping[str, str]) -> None:
        """Remember what the environment's variables hold, by their names and by the shape of their values."""
        for name, value in environment.items():
            if "://" in value:
                self.add_url(value)
            elif _SECRET_NAME.search(name) and not _NAME_OF_FILE.search(name) and not is_ordinary(value):
                self.add(value)

    def hide(self, text: str) -> str:
        """Hide in a text that others wrote: a driver, env.py, another session.  See :func:`hide`."""
        return hide(text, self._known - self._public)

    def net(self, text: str) -> str:
        """Hide in a text that the tool composed, of parts that went through :meth:`hide` already."""
        return hide(text, {secret for secret in self._known - self._public if not is_ordinary(secret)})


@lru_cache(maxsize=64)
def _patterns(secrets: frozenset[str]) -> tuple[re.Pattern[str], ...]:
    """What finds each of `secrets`, the longest first."""
    plain = {form for secret in secrets for form in (secret, unquote(secret)) if len(form) >= _SHORTEST}
    return tuple(_pattern(secret) for secret in sorted(plain, key=lambda secret: (-len(secret), secret)))


def _without_cut(text: str, secrets: Iterable[str]) -> str:
    """Hide a secret whose beginning is all that is left of it, because the text was shortened."""
    for secret in sorted(s for s in secrets if not is_ordinary(s)):
        for length in range(min(len(secret) - 1, len(text)), _SHORTEST_CUT - 1, -1):
            if text.endswith(secret[:length]):
                return text[:-length] + MASK
    return text


def _pattern(secret: str) -> re.Pattern[str]:
    if len(secret) > _LONGEST_ENCODED:
        return re.compile(re.escape(secret))
    written = "".join(
        character if character in _NEVER_ENCODED else f"(?:{'|'.join(_spellings(character))})" for character in secret
    )
    return re.compile(rf"(?<![A-Za-z0-9]){written}(?![A-Za-z0-9])" if is_ordinary(secret) else written)


def _spellings(character: str) -> list[str]:
    """The ways to write one character: percent-encoded, once or again; doubled for an ini file; escaped for a repr."""
    encoded = "".join(f"%(?:25|%)*(?i:{byte:02x})" for byte in character.encode("utf-8", "surrogatepass"))
    spellings = [encoded, re.escape(character)]  # the longest first: the first that fits is taken
    if character == "%":
        spellings[1:1] = ["%%"]
    elif character == " ":
        spellings[1:1] = [r"\+"]
    elif character in "'\"\\":
        spellings[1:1] = [r"\\{1,2}" + re.escape(character), re.escape(character * 2)]
    elif not character.isascii() or not character.isprintable():
        spellings[1:1] = [re.escape(form(character)[1:-1]) for form in (json.dumps, ascii, repr)]
    return spellings
