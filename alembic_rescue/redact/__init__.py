"""Remove secrets from text.  Pure: known secrets are given, and text that looks secret is found.

Two nets, because neither is enough alone: the *known* secrets of this run (the passwords of every URL seen, in any
encoding, and the variables with secret names), and the *shape* of secrets (``://user:word@``, ``password=word``,
``INSERT ... (password) VALUES ('word')``) for those never seen, such as in another session's query.

A known secret that is an ordinary word (``postgres``, ``12345``) is hidden as a whole word in what others wrote, and
left alone in what the tool itself wrote: a mask in the middle of a known sentence would reveal it.

SQL is read as SQL: ``CHECK (api_key = lower(api_key))`` contains no secret, ``DEFAULT 'password=word'`` does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from alembic_rescue.redact import shapes, sql, tokens
from alembic_rescue.redact.known import MASK, is_ordinary, patterns, without_cut
from alembic_rescue.redact.names import is_secret, is_secret_variable

_WHOLE_URL = re.compile(r"\s*[a-zA-Z][\w+.-]{0,60}://[^:/@]*:(?P<secret>.*)@", re.DOTALL)

_TEMPLATES = "driver://user:pass@localhost/dbname"
"""What ``alembic init`` writes.  Its password is a Python keyword, which must stay readable in source."""
_ENDS_TOO_EARLY = re.compile(r"[@/?#:]")
"""What ends a password that is not percent-encoded: the rest then appears as a host, a port or a database."""


def hide(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` with every known secret, and everything in the place of a password, replaced by ``***``."""
    text = shapes.rows_told(_in_places(text, secrets))
    return shapes.named_bare(shapes.named(text))


def hide_sql(statement: str, secrets: Iterable[str] = ()) -> str:
    """Return SQL with known secrets hidden, and otherwise only secrets in literals and comments."""
    text = shapes.named(_in_places(statement, secrets))
    return shapes.named_within(text, tokens.spans(text))


def hide_value(of: str, text: str, secrets: Iterable[str] = ()) -> str:
    """Return SQL as :func:`hide_sql` does; no literal is shown if `of` is secret, like ``public.users.password``."""
    return hide_sql(tokens.literals(text) if is_secret(of) else text, secrets)


def _in_places(text: str, secrets: Iterable[str]) -> str:
    text = _without(text, frozenset(secrets))
    text = shapes.credentials(shapes.passwords(shapes.urls(text)))
    return shapes.options(sql.values(text))


def _without(text: str, known: frozenset[str]) -> str:
    for pattern in patterns(known):
        text = pattern.sub(MASK, text)
    return without_cut(text, known)


class Secrets:
    """The known secrets of one run.  All text that leaves the program goes through :meth:`hide` or :meth:`net`."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._public: set[str] = set()

    def add(self, *values: object) -> None:
        """Remember secrets as they come; None and empty ones are ignored."""
        self._known.update(str(v) for v in values if v)

    def add_public(self, *names: str | None) -> None:
        """Remember names (role, database, host) that are shown even if they are also the password."""
        self._public.update(name for name in names if name)

    def all(self) -> tuple[frozenset[str], frozenset[str]]:
        """Return the secrets, and the names that are shown even if they are also secrets."""
        return frozenset(self._known), frozenset(self._public)

    def add_url(self, text: str) -> None:
        """Remember the password of a URL, found by its shape: no library may be able to parse it."""
        if text.strip() == _TEMPLATES:
            return
        self.add(*shapes.of_urls(text), *shapes.values_of(text))
        self.add(*(part for found in shapes.of_urls(text) for part in _ENDS_TOO_EARLY.split(found)))
        if whole := _WHOLE_URL.match(text):  # with spaces or quotes in it; SQLAlchemy ends it at the first @
            self.add(whole["secret"], whole["secret"].split("@")[0])

    def add_environment(self, environment: Mapping[str, str]) -> None:
        """Remember secrets in the environment's variables, by their names and by the shape of their values."""
        for name, value in environment.items():
            if "://" in value:
                self.add_url(value)
            if is_secret_variable(name, value) and not is_ordinary(value):
                self.add(value)

    def hide(self, text: str) -> str:
        """Hide in a text that others wrote: a driver, env.py, another session.  See :func:`hide`."""
        return hide(text, self._known - self._public)

    def hide_known(self, text: str) -> str:
        """Hide known secrets that are not ordinary words."""
        return _without(text, frozenset(self._unmistakable))

    def hide_sql(self, statement: str) -> str:
        """Hide in SQL.  See :func:`hide_sql`; what it leaves unchanged can be offered, and shown by :meth:`net`."""
        return hide_sql(statement, self._unmistakable)

    def hide_value(self, of: str, text: str) -> str:
        """Hide in what is reported of an object's definition.  See :func:`hide_value`."""
        return hide_value(of, text, self._unmistakable)

    def net(self, text: str) -> str:
        """Hide in a text that the tool composed from parts that already went through the other methods."""
        return shapes.passwords(shapes.urls(self.hide_known(text)))

    @property
    def _unmistakable(self) -> set[str]:
        return {secret for secret in self._known - self._public if not is_ordinary(secret)}
