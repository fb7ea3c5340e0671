"""How each platform transforms a program's output: its prefixes, its JSON, its cut lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence

Lines = Sequence[str]


def _second(number: int) -> str:
    return f"{number // 60 % 60:02}:{number % 60:02}"


def _iso(number: int, digits: str = "123456") -> str:
    return f"2026-11-27T01:{_second(number)}.{digits}"


def plain(lines: Lines) -> str:
    return "\n".join(lines) + "\n"


def _prefixed(prefix: Callable[[int], str]) -> Callable[[Lines], str]:
    return lambda lines: "".join(f"{prefix(number)}{line}\n" for number, line in enumerate(lines))


def windows(lines: Lines) -> str:
    return "\r\n".join(lines) + "\r\n"


def coloured(lines: Lines) -> str:
    return "".join(f"\x1b[32m\x1b[1m{line[:4]}\x1b[0m{line[4:]}\x1b[0m\n" for line in lines)


def compose_beside(lines: Lines) -> str:
    """Another service's lines in between."""
    told = []
    for number, line in enumerate(lines):
        told.append(f"web-1    | {line}\n")
        told.append(f"redis-1  | {number}:M 27 Nov 2026 01:53:23.000 * (asyncpg.NoSuchThing) Ready to accept\n")
    return "".join(told)


def cri(lines: Lines) -> str:
    """Long lines are split."""
    told = []
    for number, line in enumerate(lines):
        pieces = [line[at : at + 40] for at in range(0, len(line), 40)] or [""]
        tags = "P" * (len(pieces) - 1) + "F"
        told += [f"{_iso(number)}Z stderr {tag} {piece}\n" for tag, piece in zip(tags, pieces, strict=True)]
    return "".join(told)


def docker_json(lines: Lines) -> str:
    """As Docker stores them on disk; long ones in pieces."""
    told = []
    for number, line in enumerate(lines):
        whole = line + "\n"
        pieces = [whole[at : at + 50] for at in range(0, len(whole), 50)]
        told += [json.dumps({"log": piece, "stream": "stderr", "time": f"{_iso(number)}Z"}) + "\n" for piece in pieces]
    return "".join(told)


def gcp(lines: Lines) -> str:
    """As ``gcloud logging read --format json`` prints them."""
    return json.dumps([{"insertId": str(n), "textPayload": line} for n, line in enumerate(lines)], indent=2)


def render_api(lines: Lines) -> str:
    entries = [{"id": str(n), "timestamp": f"{_iso(n)}Z", "message": line} for n, line in enumerate(lines)]
    return json.dumps({"hasMore": False, "logs": entries}) + "\n"


def structlog(lines: Lines) -> str:
    """Each line is an event, as if stderr were piped into a collector."""
    return "".join(
        json.dumps({"event": line, "level": "info", "timestamp": f"{_iso(n)}Z"}) + "\n" for n, line in enumerate(lines)
    )


def one_record(lines: Lines) -> str:
    """Each line that Alembic logs is an event; the traceback is one record's ``exc_info``."""
    at = next((number for number, line in enumerate(lines) if line.startswith("Traceback")), len(lines))
    told = structlog(lines[:at])
    if lines[at:]:
        told += (
            json.dumps({"message": "migration failed", "levelname": "ERROR", "exc_info": "\n".join(lines[at:])}) + "\n"
        )
    return told


SHAPES: dict[str, Callable[[Lines], str]] = {
    "plain": plain,
    "windows": windows,
    "coloured": coloured,
    "render": _prefixed(lambda n: f"Nov 27 01:{_second(n)} AM  "),
    "render-instance": _prefixed(lambda n: f"{_iso(n)}Z [srv-d1abc-x7k2p] "),
    "heroku": _prefixed(lambda n: f"{_iso(n)}+00:00 app[release.1234]: "),
    "compose": _prefixed(lambda _: "web-1  | "),
    "compose-old": _prefixed(lambda _: "web_1    | "),
    "compose-times": _prefixed(lambda n: f"web-1  | {_iso(n)}Z "),
    "compose-beside": compose_beside,
    "docker-times": _prefixed(lambda n: f"{_iso(n, '123456789')}Z "),
    "cri": cri,
    "kubectl-prefix": _prefixed(lambda _: "[pod/web-5c4b9bcc-vvfsx/migrate] "),
    "github": _prefixed(lambda n: f"{_iso(n, '1234567')}Z "),
    "gh-run-view": _prefixed(lambda n: f"deploy\tRun alembic upgrade head\t{_iso(n, '1234567')}Z "),
    "fly": _prefixed(lambda n: f"{_iso(n)}Z app[148ed123c04789] iad [info]"),
    "fly-spaced": _prefixed(lambda n: f"{_iso(n)}Z app[148ed123c04789] iad [info] "),
    "railway": _prefixed(lambda n: f"{_iso(n, '123456789')}Z [err]  "),
    "journal": _prefixed(lambda n: f"Nov 27 01:{_second(n)} primary shop-migrate[23499]: "),
    "cloudwatch": _prefixed(lambda n: f"{_iso(n)}+00:00 web/migrate/0123456789abcdef0123456789abcdef "),
    "docker-json": docker_json,
    "gcp": gcp,
    "render-api": render_api,
    "structlog": structlog,
    "one-record": one_record,
}


def wrapped(lines: Lines) -> Iterator[tuple[str, str]]:
    """Yield the output in each platform's shape, with its name."""
    for name, shape in SHAPES.items():
        yield name, shape(lines)
