"""Hide what looks like a secret, in any text.  Pure, and linear in the text.

Each pattern begins with what is rare (a name that says so, ``://``), never with a run of characters that may be as
long as the text; what stands between is bounded, or cannot reach over the next beginning.
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
"""A string of SQL's, or a string in one; where the text was cut off, it goes on to its end."""
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
"""Of HTTP's header ``Authorization``."""
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
"""What SQLAlchemy tells of a statement's parameters, where they have no names."""
_FAILING_ROW = re.compile(r"(\bFailing row contains )\([^\n]*")
_KEY = re.compile(r"\bKey (?P<columns>\([^()\n]*\))=\([^\n]*?(?P<end>\) (?=already|is |conflicts)|(?=\n|\Z))")
_WORD = re.compile(r"[^\s'\"]+")
_AUTHORITY = re.compile(r"(?<=[\w+.-])://[^:/?#]*:")
_SAYS_NOTHING = frozenset(["true", "false", "t", "f", "yes", "no", "on", "off", "null", "none", "0", "1"])


def says_nothing(literal: str) -> bool:
    """Whether the value that is quoted so is none, or yes or no: a column ``has_password`` holds no password."""
    value = literal.lstrip("eEuU&").strip("'\"$\\ ").lower()
    return value in _SAYS_NOTHING or not any(map(str.isalnum, value))


# --- named values ------------------------------------------------------------------------------------------------


def named(text: str) -> str:
    """Hide the quoted values of what a name says to be secret: ``"api_key": "x"``, ``SET password = 'x'``."""
    if not is_in(text):
        return text
    return _NAMED.sub(lambda found: found[0] if says_nothing(found["secret"]) else found["before"] + MASK, text)


def named_bare(text: str) -> str:
    """The same, of values without quotes, as libpq, ini files and variables have them: ``password=x``."""
    return _NAMED_BARE.sub(rf"\g<before>{MASK}", text) if is_in(text) else text


def named_within(text: str, spans: list[tuple[int, int]]) -> str:
    """The same, but only within `spans` of the text, which are in order.  ``password: hashed`` is left as prose."""
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
    """Hide those of HTTP's ``Authorization``, what is in a private key, and in XML's ``<password>``."""
    if "-----BEGIN " in text:
        text = _PRIVATE_KEY.sub(rf"\g<before>{MASK}", text)
    if "<" in text:
        text = _ELEMENT.sub(rf"\g<before>{MASK}", text)
    return _CREDENTIALS.sub(rf"\g<before>{MASK}", text)


def options(text: str) -> str:
    """Hide what follows a name that says that it is secret: ``OPTIONS (api_key 'x')``."""
    if not is_in(text):
        return text
    return _OPTION.sub(lambda found: found[0] if says_nothing(found["secret"]) else _masked(found), text)


def _masked(found: re.Match[str]) -> str:
    prefix = _PREFIX.match(found["secret"])
    return f"{found['before']}{prefix[0] if prefix else ''}'{MASK}'"


def values_of(text: str) -> list[str]:
    """The values that :func:`named` and :func:`named_bare` would hide."""
    if not is_in(text):
        return []
    return [found["secret"].strip("'\"") for pattern in (_NAMED, _NAMED_BARE) for found in pattern.finditer(text)]


# --- what servers and SQLAlchemy say -----------------------------------------------------------------------------


def rows_told(text: str) -> str:
    """Hide the rows and parameters without names that an error or a log tells, of which any may be the secret one."""
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
    """The passwords of its URLs."""
    for found in _WORD.finditer(text) if "://" in text else ():
        start, end = _password_of(found[0], at_the_end=False)
        if end:
            yield found[0][start:end]


def _password_of(word: str, *, at_the_end: bool) -> tuple[int, int]:
    """Where in a word the password of a URL is, up to the last ``@``; or what is left of it where the text is cut."""
    begins = _AUTHORITY.search(word) if "://" in word else None
    if begins is None:
        return 0, 0
    start, end = begins.end(), word.rfind("@")
    if end >= start:
        return start, end
    rest = word[start:].rstrip(".,;)]}>")
    cut = (at_the_end or word.endswith("...")) and rest and not rest.isdigit() and not set("[/?#") & set(word[start:])
    return (start, start + len(rest)) if cut and "[" not in begins[0] else (0, 0)
