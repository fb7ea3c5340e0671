"""From a log's raw lines to what the program printed: without prefixes, JSON decoded, split lines joined.  Pure.

Linear in the size of the log; keeps at most `LONGEST` characters of a line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LONGEST = 8_000
"""Maximum characters of a printed line."""
_JSON_LONGEST = 1_000_000
_DEEPEST = 4
"""How many times to decode a message that is itself a log line."""
_PREFIXES = 8
"""Maximum prefixes of a line: GitHub's time, the container's name, the program's own time, ..."""
_URL = 60
"""A URL value has its ``://`` within this many characters."""
_SOURCES = 64
"""Maximum number of containers to tell apart."""

_TIME = r"\[?\d{4}-\d\d-\d\d[T\x20]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:\x20?(?:Z|UTC|[+-]\d\d:?\d\d))?\]?"
_PREFIX = re.compile(
    rf"""
    {_TIME}(?:[ \t]{{1,2}}|$)                                        # GitHub, docker logs -t, Kubernetes, logging
    | (?:[A-Z][a-z]{{2}}[ ])?[A-Z][a-z]{{2}}[ ]{{1,2}}\d{{1,2}}[ ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[ ][AP]M)?
      (?:[ ][\w.-]+[ ](?P<unit>[\w@.-]+\[\d+\]):)?(?:[ \t]{{1,2}}|$)    # Render, journalctl
    | (?!(?:error|warning)\[)                                        # as this tool tells its own
      (?P<dyno>[\w-]+\[[\w.-]+\])(?::(?:[ ]|$)|[ ][a-z]{{3}}[ ]\[\w+\][ ]?)   # Heroku; Fly
    | (?P<container>[a-zA-Z0-9][\w.-]{{0,62}})[ ]*\|(?:[ ]|$)        # docker compose
    | \[(?P<pod>(?:pod|job|deployment)/[\w./-]+)\][ ]                # kubectl --prefix
    | (?:stdout|stderr)[ ](?P<tag>[FP])(?:[ ]|$)                     # CRI
    | [\w. -]+/[\w. -]+/[0-9a-f]{{32}}[ ]                            # CloudWatch
    | [^\t]{{1,80}}\t[^\t]{{1,80}}\t(?=\ufeff?{_TIME})               # gh run view --log
    | \#\#\[\w+\]                                                    # GitHub's marks
    | \[(?!\d+\])[a-z0-9][a-z0-9_-]{{1,40}}\][ ]{{1,2}}              # an instance, or Railway's level
    | [ ]+[|+][ ](?=[ ]*\S)                                          # groups of exceptions
    | \ufeff
    """,
    re.VERBOSE,
)
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[@-Z\\-_])|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_MESSAGES = ("message", "msg", "log", "event", "text", "textPayload", "@message", "MESSAGE", "body", "content")
_EXCEPTIONS = ("exc_info", "exception", "exc_text", "stack_info", "stack_trace", "stack", "traceback")
_PRINTED = re.compile(rf'\s*"(?:{"|".join((*_MESSAGES, *_EXCEPTIONS))})"\s*:\s*(".*"),?\s*')
"""A line of pretty-printed JSON."""


@dataclass(frozen=True)
class Line:
    """One line as the program printed it."""

    number: int
    """The number of the log's line that contains it, from 1."""
    source: str
    """The container or machine that it comes from, if the log says so."""
    text: str


def lines(raw: Iterable[str]) -> Iterator[Line]:
    """Yield what was printed, line by line."""
    sources: dict[str, str] = {}
    """Each source with the unfinished part of its last line."""
    is_document: bool | None = None
    """Whether the log is one pretty-printed JSON document."""
    for number, text in enumerate(raw, start=1):
        if is_document is None and text.strip():
            is_document = text.strip() in {"[", "{"}
        if is_document and not _PRINTED.fullmatch(text):
            continue
        for piece in _opened(text.rstrip("\r\n"), _DEEPEST):
            source = piece.source if piece.source in sources or len(sources) < _SOURCES else ""
            whole = (sources.get(source, "") + piece.text)[:LONGEST]
            sources[source] = whole if piece.goes_on else ""
            if not piece.goes_on:
                yield Line(number, source, whole)
    for source, rest in sources.items():
        if rest:
            yield Line(number, source, rest)


@dataclass(frozen=True)
class _Piece:
    source: str
    text: str
    goes_on: bool = False


def _opened(text: str, deepest: int, outer: str = "") -> Iterator[_Piece]:
    """Yield the lines in one line: several only if it is JSON."""
    if len(text) > LONGEST and not text.lstrip().startswith(("{", '"')) and '{"' not in text[:200]:
        text = text[:LONGEST]
    if "\x1b" in text or not text.isprintable():
        text = _ANSI.sub("", text)
    source, tag, text = _peeled(text)
    source = source or outer
    found = _messages(text) if deepest else None
    if found is None:
        yield _Piece(source, text[:LONGEST], goes_on=tag == "P")
        return
    for message, goes_on in found:
        for one in message.split("\n"):
            for piece in _opened(one.rstrip("\r"), deepest - 1, source):
                yield _Piece(piece.source, piece.text, goes_on=goes_on or piece.goes_on)


def _peeled(text: str) -> tuple[str, str, str]:
    """Return the source, CRI's tag, and the rest."""
    at, sources, tag = 0, [], ""
    for _ in range(_PREFIXES):
        found = _PREFIX.match(text, at)
        if found is None or found.end() == at:
            break
        at = found.end()
        sources += [name for name in found.group("unit", "dyno", "container", "pod") if name]
        tag = found["tag"] or tag
    return "/".join(sources), tag, text[at:]


def _messages(text: str) -> list[tuple[str, bool]] | None:
    """Return the messages in JSON, each with whether it continues in the next one; None if the text is not JSON."""
    if text[:1] == "{" and text.rstrip()[-1:] == "}" and len(text) <= _JSON_LONGEST:
        content = _loaded(text)
        return _of_record(content) if isinstance(content, dict) else None
    if text.lstrip()[:1] == '"' and (found := _PRINTED.fullmatch(text)):
        message = _loaded(found[1])
        return [(message.rstrip("\n"), False)] if isinstance(message, str) else None
    return None


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _of_record(record: Mapping[str, Any]) -> list[tuple[str, bool]] | None:
    if isinstance(record.get("logs"), list):  # a response of Render's API
        entries = [_of_record(one) or [] for one in record["logs"] if isinstance(one, dict)]
        return [message for entry in entries for message in entry]
    if isinstance(record.get("jsonPayload"), dict):
        record = record["jsonPayload"]
    messages = [record[key] for key in _MESSAGES if isinstance(record.get(key), str)][:1]
    traces = [_trace(record[key]) for key in _EXCEPTIONS if key in record]
    if not messages and not any(traces):
        return None
    cut = "stream" in record and "log" in record and not messages[0].endswith("\n")  # Docker splits lines at 16 KB
    urls = [value for value in record.values() if isinstance(value, str) and "://" in value[:_URL]]
    told = [message.rstrip("\n") for message in (*messages, *traces, *urls) if message]
    return [(message, cut and number == 0) for number, message in enumerate(dict.fromkeys(told))]


def _trace(value: Any) -> str:
    """Return a traceback as Python prints it: from its text, or from structlog's parts."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, Sequence):
        return ""
    return "\n".join(one if isinstance(one, str) else "\n".join(_of_parts(one)) for one in value)


def _of_parts(part: Any) -> list[str]:
    if not isinstance(part, dict) or "exc_value" not in part:
        return []
    frames = [one for one in part.get("frames") or [] if isinstance(one, dict)]
    told = ["Traceback (most recent call last):"]
    for frame in frames:
        told.append(f'  File "{frame.get("filename")}", line {frame.get("lineno")}, in {frame.get("name")}')
        told += [f"    {frame['line']}"] if frame.get("line") else []
    return [*told, f"{part.get('exc_type')}: {part['exc_value']}"]
