"""A local server that speaks Render's API: the states of a deployment are scripted, and so are faults.

It answers as Render's own clients expect: lists in pages, with a cursor in each entry; 201 with the deployment, or 202
without a body; logs in pages, by their times.
"""

from __future__ import annotations

import contextlib
import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from alembic_rescue.clock import Clock
from alembic_rescue.deploying.deployment import OnRender
from alembic_rescue.deploying.following import Told
from alembic_rescue.deploying.render import of_environment
from alembic_rescue.deploying.values import moment
from alembic_rescue.redact import Secrets


class Time:
    """A clock that does not really wait."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.at = 0.0
        self.clock = Clock(lambda: self.at, self.sleep, lambda: 1_800_000_000.0)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds


def place_on(api: RenderApi, named: str = "shop", **more: Any) -> Any:
    """A service on that Render, with a clock that does not really wait; ``news`` collects the progress messages."""
    time, told = Time(), []
    environment = {"RENDER_API_KEY": KEY, "RENDER_HOST": api.url}
    render = of_environment(
        secrets := Secrets(), environment, clock=time.clock, seconds=more.pop("seconds", 5.0),
        told=lambda note: told.append(Told("", note=note)),
    )  # fmt: skip
    place: Any = OnRender(render, render.service(named), told.append, secrets, clock=time.clock, **more)
    place.time, place.news = time, told
    return place


KEY = "rnd_test"
DEPLOYS = r"/services/[\w-]+/deploys"
ONE = r"/services/[\w-]+/deploys/dep-\d+"
"""The paths of a service's deployments, and of one of them."""
HOOK_KEY = "hook-key-not-to-be-seen"
BEGAN = datetime(2026, 11, 27, 10, tzinfo=timezone.utc)
"""The first line of a log."""


@dataclass
class Fault:
    """A fault instead of the answer, for that many requests."""

    method: str
    path: str
    """A pattern."""
    status: int = 500
    body: str = '{"message": "out of order"}'
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1
    lost: bool = False
    """The connection is closed without an answer."""
    after: bool = False
    """The request takes effect nevertheless."""
    hangs: float = 0.0
    """Seconds of silence before it."""
    cut: int = 0
    """That many bytes of the answer never arrive."""
    drip: float = 0.0
    """Seconds between two bytes of the answer."""


@dataclass
class RenderApi:
    """The server's whole state."""

    services: list[dict[str, Any]] = field(default_factory=list)
    deploys: list[dict[str, Any]] = field(default_factory=list)
    """Newest first."""
    script: list[str] = field(default_factory=lambda: ["build_in_progress", "live"])
    """The states of a triggered deployment, one for each request."""
    log: list[tuple[str, str]] = field(default_factory=list)
    """State and message, which is shown from that state on."""
    accepts: int = 201
    first: str = "created"
    """The state in which a deployment begins."""
    listed_after: int = 0
    """A new deployment appears in the list after that many requests."""
    page: int = 100
    apart: timedelta = timedelta(seconds=1)
    """Two lines of the log."""
    on_state: dict[str, Callable[[], object]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    authorized: list[str | None] = field(default_factory=list)
    hidden: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    lock: threading.RLock = field(default_factory=threading.RLock)

    def has(self, name: str = "shop", number: int = 1, **more: Any) -> dict[str, Any]:
        """Add a service."""
        service = {
            "id": f"srv-{name.replace('-', '')}{number:04}", "name": name, "ownerId": "tea-1", "type": "web_service",
            "suspended": "not_suspended", "branch": "main", **more,
        }  # fmt: skip
        self.services.append(service)
        return service

    def deployed(self, status: str = "live", **more: Any) -> dict[str, Any]:
        """Add a deployment, as the newest."""
        number = len(self.deploys) + len(self.hidden) + 1
        deploy = {
            "id": f"dep-{number:04}", "status": status, "trigger": "api", "createdAt": f"2026-11-27T09:{number:02}:00Z",
            "commit": {"id": "0123456789abcdef0123456789abcdef01234567", "message": "fix the order\n\nmore"}, **more,
        }  # fmt: skip
        self.deploys.insert(0, deploy)
        return deploy

    def count(self, method: str, path: str) -> int:
        """Return how often that was requested."""
        return sum(one == method and bool(re.fullmatch(path, asked)) for one, asked, _ in self.requests)

    # --- what it does --------------------------------------------------------------------------------------------

    def fault(self, method: str, path: str) -> Fault | None:
        for one in self.faults:
            if one.times and one.method == method and re.fullmatch(one.path, path):
                one.times -= 1
                return one
        return None

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        if path == "/services":
            named = [one for one in self.services if query.get("name", "") in one["name"]]
            return 200, self.paged(named, query, "service")
        if found := re.fullmatch(r"/services/([\w-]+)", path):
            service = next((one for one in self.services if one["id"] == found[1]), None)
            return (200, service) if service else (404, {"message": "not found: service"})
        if found := re.fullmatch(r"/services/([\w-]+)/deploys", path):
            return self.triggered(body) if method == "POST" else (200, self.listed(query))
        if found := re.fullmatch(r"/services/[\w-]+/deploys/([\w-]+)", path):
            deploy = next((one for one in self.deploys if one["id"] == found[1]), None)
            return (200, self.moved(deploy)) if deploy else (404, {"message": "not found: deploy"})
        if path == "/logs":
            return 200, self.logged(query)
        if path == "/deploy/srv-shop":
            return 200, {"deploy": {"id": self.triggered({})[1]["id"]}}
        return 404, {"message": "no such path"}

    def paged(self, entries: list[Any], query: dict[str, str], name: str) -> list[dict[str, Any]]:
        start = int(query.get("cursor", 0))
        limit = min(int(query.get("limit", 20)), self.page)
        chosen = list(enumerate(entries, 1))[start : start + limit]
        return [{"cursor": str(number), name: entry} for number, entry in chosen]

    def listed(self, query: dict[str, str]) -> list[dict[str, Any]]:
        if self.hidden:
            self.listed_after -= 1
            if self.listed_after <= 0:
                self.deploys = [*self.hidden, *self.deploys]
                self.hidden = []
        status = query.get("status")
        return self.paged([one for one in self.deploys if status in {None, one["status"]}], query, "deploy")

    def triggered(self, body: Any) -> tuple[int, Any]:
        deploy = self.deployed(self.first if self.accepts == 201 else "queued", asked=body, script=list(self.script))
        if self.listed_after:
            self.hidden.append(self.deploys.pop(0))
        return (201, deploy) if self.accepts == 201 else (202, None)

    def moved(self, deploy: dict[str, Any]) -> dict[str, Any]:
        if deploy.get("script"):
            deploy["status"] = deploy["script"].pop(0)
            if act := self.on_state.pop(deploy["status"], None):
                act()
        return deploy

    def logged(self, query: dict[str, str]) -> dict[str, Any]:
        states = [*self.script]
        now = self.deploys[0]["status"] if self.deploys else ""
        reached = states[: states.index(now) + 1] if now in states else []
        lines = [
            {"id": f"line-{number}", "timestamp": f"{BEGAN + number * self.apart:%Y-%m-%dT%H:%M:%S.%f}789Z",
             "message": message, "labels": [{"name": "instance", "value": "pre-deploy-1"}]}
            for number, (state, message) in enumerate(self.log) if state in reached
        ]  # fmt: skip
        start = moment(query["startTime"])
        after = [line for line in lines if start is None or moment(line["timestamp"]) >= start]
        shown, rest = after[: self.page], after[self.page :]
        return {
            "hasMore": bool(rest),
            "nextStartTime": rest[0]["timestamp"] if rest else "2026-11-27T10:00:00Z",
            "nextEndTime": "2026-11-27T11:00:00Z",
            "logs": [*shown, *shown[-1:]],  # a line may come twice
        }


def write(file: Any, body: bytes, drip: float) -> None:
    """At once, or byte by byte with that many seconds in between."""
    for at in range(0, len(body), 1 if drip else len(body)):
        file.write(body[at : at + 1] if drip else body)
        time.sleep(drip)


@contextlib.contextmanager
def serving(certificate: Path | None = None) -> Iterator[RenderApi]:
    """Serve for the block, at `api.url`."""
    api = RenderApi()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handled(self) -> None:
            parts = urlsplit(self.path)
            path, query = parts.path.removeprefix("/v1"), {k: v[0] for k, v in parse_qs(parts.query).items()}
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            with api.lock:
                api.requests.append((self.command, path, body))
                api.authorized.append(self.headers.get("Authorization"))
                fault = api.fault(self.command, path)
                known = self.headers.get("Authorization") == f"Bearer {KEY}" or query.get("key") == HOOK_KEY
                if not known:
                    status, content = 401, {"message": "unauthorized"}
                elif fault is None or fault.after:
                    status, content = api.answer(self.command, path, query, body)
            if fault is not None:
                time.sleep(fault.hangs)
                if fault.lost:
                    self.close_connection = True
                    return
                self.close_connection = bool(fault.cut)
                length = {"Content-Length": str(len(fault.body.encode()) + fault.cut)} if fault.cut else {}
                self.say(fault.status, fault.body, {**length, **fault.headers}, fault.drip)
                return
            self.say(status, "" if content is None else json.dumps(content), {})

        def say(self, status: int, body: str, headers: dict[str, str], drip: float = 0.0) -> None:
            with contextlib.suppress(OSError):
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body.encode())), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                write(self.wfile, body.encode(), drip)

        do_GET = do_POST = handled  # noqa: N815 - http.server's names

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    scheme = "http" if certificate is None else "https"
    api.url = f"{scheme}://127.0.0.1:{server.server_port}/v1/"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
