"""Hide what looks like a secret, in any text.  Pure, and linear in the text.

Each pattern begins with something rare (a secret name, ``://``), never with a run of characters that may be as long as
the text; what is in between is bounded, or cannot extend past the next beginning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from alembic_rescue.redact.known import MASK
from alembic_rescue.redact.names import NAME, is_in, is_secret

_BACKSLASHED = r"'[^'\\]*(?:(?:\\.|'')[^'\\]*)*(?:'|\\?\Z)"
_NESTED = r"(?P<run>'{2,})(?=[^'\s,);:|])[^']*(?:(?P=run){2}[^']*)*(?:(?P=run)|'*\Z)"
_DOLLARS = r"\$(?P<tag>\w{0,60})\$.*?(?:\$(?P=tag)\$|\Z)"
STRING = rf"(?:'\*{{3}}'|[eE]{_BACKSLASHED}|{_NESTED}|(?:[uU]&)?'[^']*(?:''[^']*)*(?:'|\Z))"
LITERAL = rf"(?:{STRING}|{_DOLLARS})"
"""An SQL string, or a string inside one; in a truncated text it extends to the end."""
_VALUE = (
    rf"(?:{_NESTED}|{_BACKSLASHED}|\"[^\"\\]*(?:\\.[^\"\\]*)*(?:\"|\\?\Z)|{_DOLLARS}"
    r"|\\+[\"'][^\"'\\]*(?:\\+[\"']|\Z))"  # JSON in JSON
)
_CAST = r"[)\s]{0,3}(?:::\w{1,60}(?:\s\w{1,60})?)?"
_NAMED = re.compile(
    rf"(?P<before>{NAME}\\*['\"`\]]{{0,4}}{_CAST}(?:\s*(?::=|=>|==?|<>|!=|:(?![:=]))\s*|\s+TO\s+)(?:e(?='))?)"
    rf"(?P<secret>\*{{3}}|{_VALUE})",
    re.IGNORECASE | re.DOTALL,
)
_NAMED_BARE = re.compile(
    rf"(?P<before>{NAME}['\"]?\s*(?P<sign>=>|==?|:(?![:=]))\s*)(?P<secret>(?!\*{{3}})[^\s,;&)'\"]+)",
    re.IGNORECASE,
)
_ELEMENT = re.compile(rf"(?P<before><[\w:.-]{{0,60}}?{NAME}>)[^<>]+", re.IGNORECASE)
_CREDENTIALS = re.compile(r"(?P<before>\bAuthorization\W{1,6}(?:Bearer|Basic)\s{1,3})[\w.~+/=-]+", re.IGNORECASE)
"""In HTTP's ``Authorization`` header."""
_PRIVATE_KEY = re.compile(r"(?P<before>-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----).*?(?=-----END|\Z)", re.DOTALL)
_PASSWORD = re.compile(
    rf"(?P<before>\b(?:password(?:\s+FOR\s[^=;]{{1,120}}=\s*(?:password\()?|\s+)"
    r"|identified\s+(?:by|(?:with|via)\s+[\w'\"`]{1,60}\s+(?:by|as|using))\s+))"
    rf"(?P<secret>{LITERAL})",
    re.IGNORECASE | re.DOTALL,
)
_OPTION = re.compile(rf"(?P<before>{NAME}[\"`\]]?\s+)(?P<secret>{LITERAL})", re.IGNORECASE | re.DOTALL)
_PREFIX = re.compile(r"(?:e|u&)(?=')", re.IGNORECASE)
_PARAMETERS = re.compile(
    r"(\[parameters: |\[(?:generated in|cached since|no key|caching disabled|raw sql)[^\]\n]*\] )(?:\(|\[\()[^\n]*"
)
"""How SQLAlchemy prints a statement's parameters if they have no names."""
_FAILING_ROW = re.compile(r"(\bFailing row contains )\([^\n]*")
_KEY = re.compile(r"\bKey (?P<columns>\([^()\n]*\))=\([^\n]*?(?P<end>\) (?=already|is |conflicts)|(?=\n|\Z))")
_WORD = re.compile(r"[^\s'\"]+")
_AUTHORITY = re.compile(r"(?<=[\w+.-])://[^:/?#]*:")
_SAYS_NOTHING = frozenset(["true", "false", "t", "f", "yes", "no", "on", "off", "null", "none", "0", "1"])


def says_nothing(literal: str) -> bool:
    """Return whether the quoted value is empty, or yes or no: a column ``has_password`` contains no password."""
    value = literal.lstrip("eEuU&").strip("'\"$\\ ").lower()
    return value in _SAYS_NOTHING or not any(map(str.isalnum, value))


# --- named values ------------------------------------------------------------------------------------------------


def named(text: str) -> str:
    """Hide the quoted values of secret names: ``"api_key": "x"``, ``SET password = 'x'``."""
    if not is_in(text):
        return text
    return _NAMED.sub(lambda found: found[0] if says_nothing(found["secret"]) else found["before"] + MASK, text)


def named_bare(text: str) -> str:
    """Hide values without quotes, as in libpq, ini files and variables: ``password=x``."""
    return _NAMED_BARE.sub(rf"\g<before>{MASK}", text) if is_in(text) else text


def named_within(text: str, spans: list[tuple[int, int]]) -> str:
    """Hide values without quotes, but only within the ordered `spans`.  ``password: hashed`` counts as prose."""
    ahead = iter([*spans, (len(text), len(text))])
    span = next(ahead)

    def within(found: re.Match[str]) -> str:
        nonlocal span
        while span[1] < found.start():
            span = next(ahead)
        prose = found["sign"] == ":" and found["secret"].isalpha()
        inside = span[0] <= found.start() and found.end() <= span[1]
        return found["before"] + MASK if inside and not prose else found[0]

    return _NAMED_BARE.sub(within, text) if is_in(text) else text


def passwords(text: str) -> str:
    """Hide what follows PASSWORD and IDENTIFIED BY."""
    return _PASSWORD.sub(_masked, text)


def credentials(text: str) -> str:
    """Hide credentials in HTTP's ``Authorization``, in private keys, and in XML's ``<password>``."""
    if "-----BEGIN " in text:
        text = _PRIVATE_KEY.sub(rf"\g<before>{MASK}", text)
    if "<" in text:
        text = _ELEMENT.sub(rf"\g<before>{MASK}", text)
    return _CREDENTIALS.sub(rf"\g<before>{MASK}", text)


def options(text: str) -> str:
    """Hide what follows a secret name: ``OPTIONS (api_key 'x')``."""
    if not is_in(text):
        return text
    return _OPTION.sub(lambda found: found[0] if says_nothing(found["secret"]) else _masked(found), text)


def _masked(found: re.Match[str]) -> str:
    prefix = _PREFIX.match(found["secret"])
    return f"{found['before']}{prefix[0] if prefix else ''}'{MASK}'"


def values_of(text: str) -> list[str]:
    """Return the values that :func:`named` and :func:`named_bare` would hide."""
    if not is_in(text):
        return []
    return [found["secret"].strip("'\"") for pattern in (_NAMED, _NAMED_BARE) for found in pattern.finditer(text)]


# --- what servers and SQLAlchemy say -----------------------------------------------------------------------------


def rows_told(text: str) -> str:
    """Hide the rows and unnamed parameters in an error or a log, because any of them may be secret."""
    text = _PARAMETERS.sub(rf"\g<1>({MASK})", text)
    text = _FAILING_ROW.sub(rf"\g<1>({MASK})", text)
    return _KEY.sub(_key, text)


def _key(found: re.Match[str]) -> str:
    secret = any(map(is_secret, re.split(r"[(,)]", found["columns"])))
    return f"Key {found['columns']}=({MASK}{found['end']}" if secret else found[0]


# --- URLs --------------------------------------------------------------------------------------------------------


def urls(text: str) -> str:
    """Hide the passwords of URLs."""
    if "://" not in text:
        return text

    def hidden(found: re.Match[str]) -> str:
        start, end = _password_of(found[0], at_the_end=found.end() == len(text))
        return found[0][:start] + MASK + found[0][end:] if end else found[0]

    return _WORD.sub(hidden, text)


def of_urls(text: str) -> Iterator[str]:
    """Yield the passwords of the text's URLs."""
    for found in _WORD.finditer(text) if "://" in text else ():
        start, end = _password_of(found[0], at_the_end=False)
        if end:
            yield found[0][start:end]


def _password_of(word: str, *, at_the_end: bool) -> tuple[int, int]:
    """Return where a URL's password is in a word, up to the last ``@``; in a truncated text, what is left of it."""
    begins = _AUTHORITY.search(word) if "://" in word else None
    if begins is None:
        return 0, 0
    start, end = begins.end(), word.rfind("@")
    if end >= start:
        return start, end
    rest = word[start:].rstrip(".,;)]}>")
    cut = (at_the_end or word.endswith("...")) and rest and not rest.isdigit() and not set("[/?#") & set(word[start:])
    return (start, start + len(rest)) if cut and "[" not in begins[0] else (0, 0)
