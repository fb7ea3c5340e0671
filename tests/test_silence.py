"""No wait for a server is endless (promise 6): one that goes silent, or away, at any moment, on each driver."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from tests import mariadb
from tests.drivers import POSTGRESQL, project_at, url_of, with_everything_there
from tests.silent_proxy import A_STATEMENT, Proxy, Then, between
from tests.watching import others, until

DRIVERS = {"psycopg2": 0, "psycopg": 1, "asyncpg": 3, "pg8000": 2}
ROWS = {name: list(POSTGRESQL)[place] for name, place in DRIVERS.items()}
LOCK, STATEMENT, CONNECT = 1, 2, 2
ONE_WAIT = STATEMENT + 1 + 3
"""The server's own time, what it is allowed beyond that, and a moment between asking it to cancel and hanging up."""
MARGIN = 40
"""What the rest takes on a machine that is busy with other tests; the caller would end a worker only after 70 s."""
UPDATE = rb"UPDATE alembic_version"
WRITES = [(then, all_of_it) for then in Then for all_of_it in (True, False)]
QUICK = {("psycopg2", "first statement"), ("asyncpg", "update")}


@pytest.fixture
def shop(driver, database, tmp_path):
    """The project with all its objects, the version table one behind, and short timeouts."""
    made = with_everything_there(ROWS[driver], tmp_path, database)
    hurried(made)
    return made


def hurried(made) -> None:
    """Give it short timeouts."""
    ini = made.root / "alembic.ini"
    ini.write_text(
        f"{ini.read_text()}\n[alembic_rescue]\n"
        f"lock_timeout = {LOCK}\nstatement_timeout = {STATEMENT}\nconnect_timeout = {CONNECT}\n"
    )


def to(database):
    """Open a connection to the real server."""
    return lambda: socket.create_connection(("127.0.0.1", database.server.port))


def through(proxy: Proxy, shop, driver: str) -> None:
    """Route the project through the proxy."""
    shop.set_url(url_of(shop.database, POSTGRESQL[ROWS[driver]], port=proxy.port))


def timed(shop, *arguments):
    began = time.monotonic()
    ran = shop.rescue("--format", "json", *arguments)
    return ran, time.monotonic() - began


def no_worker_is_left(shop) -> None:
    """Check that no process has the project as its folder."""

    def left():
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if (process / "cwd").resolve() == shop.root and (process / "cmdline").read_bytes():
                    return True
            except OSError:
                continue
        return False

    until(lambda: not left(), "no worker is left")


def on_each(place: str):
    """Parametrize a test of that place with each driver."""
    return pytest.mark.parametrize("driver", [_with(driver, place) for driver in DRIVERS])


def _with(driver: str, place: str, *others: str):
    marks = () if (driver, place) in QUICK else pytest.mark.slow
    return pytest.param(driver, *others, marks=marks, id="-".join((driver, *others)))


LOOKING = {
    "greeting": b"",
    "first statement": A_STATEMENT,
    "identity": rb"pg_control_system|current_database",
    "rollback": rb"(?i)\b(rollback|commit)\b",
    "catalog": rb"pg_identify_object",
}


@pytest.mark.parametrize(("driver", "place"), [_with(driver, place, place) for place in LOOKING for driver in DRIVERS])
@pytest.mark.parametrize("then", [Then.HELD, pytest.param(Then.CUT, marks=pytest.mark.slow)])
def test_an_inspection_of_a_server_that_goes_silent_ends(driver, place, then, shop, database):
    with between(to(database), LOOKING[place], then=then) as proxy:
        through(proxy, shop, driver)
        ran, took = timed(shop, "plan", "head")
        assert proxy.silent, "else nothing is tested"
    error = ran.json["error"]
    assert ran.status == 4, ran.everything
    assert took < ONE_WAIT + CONNECT + MARGIN
    no_worker_is_left(shop)
    if place == "greeting":
        assert error["code"] in {"connect-timeout", "connection-lost", "cannot-connect"}, error
    elif then is Then.HELD:
        assert error["code"] == "connection-lost", error
        assert "the server went silent: no answer for" in error["message"]
        assert took > ONE_WAIT
    elif not (place == "catalog" and error["code"] == "connect-timeout"):
        assert error["code"] == "connection-lost", error


@on_each("lock")
def test_the_lock(driver, shop, database):
    with between(to(database), rb"pg_try_advisory") as proxy:
        through(proxy, shop, driver)
        ran, took = timed(shop, "stamp", "head", "--yes")
        assert proxy.silent
    error = ran.json["error"]
    assert ran.status == 4, ran.everything
    assert error["code"] == "connection-lost", error
    assert "nothing was written" in error["message"]
    assert took < ONE_WAIT + MARGIN
    assert shop.receipts == []
    assert database.versions() == ["c0de0001"]
    no_worker_is_left(shop)


@pytest.mark.parametrize(
    ("then", "all_of_it"),
    [(Then.HELD, True), *(pytest.param(*case, marks=pytest.mark.slow) for case in WRITES if case != (Then.HELD, True))],
)
@on_each("update")
def test_the_write(driver, then, all_of_it, shop, database):
    with between(to(database), UPDATE, then=then, all_of_it=all_of_it) as proxy:
        through(proxy, shop, driver)
        ran, took = timed(shop, "stamp", "head", "--yes")
        assert proxy.silent
        there = database.versions()
    error = ran.json["error"]
    assert took < 2 * ONE_WAIT + CONNECT + MARGIN
    no_worker_is_left(shop)
    (receipt,) = shop.receipts
    state = json.loads(receipt.read_text())["state"]
    arrived = then is not Then.HELD and driver != "asyncpg"  # which first has the statement prepared
    assert there == ["c0de0002" if arrived else "c0de0001"]
    if arrived and not all_of_it:  # the rows could be read
        assert (ran.status, state) == (0, "verified"), ran.everything
        return
    assert (ran.status, state) == (5, "failed"), ran.everything
    assert error["code"] == "not-verified"
    assert error["message"].startswith("perhaps written, not verified"), error


@on_each("read-back")
def test_the_read_back(driver, shop, database):
    with between(to(database), UPDATE, later=True) as proxy:
        through(proxy, shop, driver)
        ran, took = timed(shop, "stamp", "head", "--yes")
        assert proxy.silent
    error = ran.json["error"]
    assert ran.status == 5, ran.everything
    assert error["code"] == "not-verified", error
    assert "could not be read back" in error["message"]
    assert error["message"].startswith("written, not verified")
    assert took < ONE_WAIT + MARGIN
    assert database.versions() == ["c0de0002"]
    (receipt,) = shop.receipts
    assert json.loads(receipt.read_text())["state"] == "failed"
    no_worker_is_left(shop)
    until(lambda: not others(database), "no session is left")


# --- MariaDB, by PyMySQL ---------------------------------------------------------------------------------------------


def to_maria(maria):
    """Open a connection to the real server, which only has a socket."""

    def connected() -> socket.socket:
        made = socket.socket(socket.AF_UNIX)
        made.connect(str(maria.server.socket))
        return made

    return connected


@pytest.fixture
def maria_shop(maria, tmp_path):
    """The same on MariaDB."""
    made = project_at("MariaDB, PyMySQL", tmp_path, maria.url, maria)
    assert made.alembic("upgrade", "head").status == 0
    assert made.alembic("stamp", "c0de0001").status == 0
    hurried(made)
    return made


def led(maria, proxy: Proxy) -> str:
    return f"mysql+pymysql://{mariadb.ROLE}:{quote(mariadb.PASSWORD, safe='')}@127.0.0.1:{proxy.port}/{maria.name}"


MARIA_LOOKING = {
    "first statement": A_STATEMENT,
    "identity": rb"VERSION\(\)",
    "rollback": rb"(?i)\b(rollback|commit)\b",
    "catalog": rb"SHOW CREATE",
    "lock": rb"GET_LOCK",
}


@pytest.mark.slow
@pytest.mark.parametrize("place", MARIA_LOOKING)
@pytest.mark.parametrize("then", [Then.HELD, Then.CUT])
def test_mariadb_that_goes_silent(place, then, maria_shop, maria):
    with between(to_maria(maria), MARIA_LOOKING[place], then=then) as proxy:
        maria_shop.set_url(led(maria, proxy))
        ran, took = timed(maria_shop, "stamp", "head", "--yes")
        assert proxy.silent, "else nothing is tested"
    error = ran.json["error"]
    assert ran.status == 4, ran.everything
    if place == "first statement" and then is Then.HELD:  # PyMySQL's own, before it returns the connection
        assert error["code"] == "connect-timeout", error
    else:
        assert error["code"] == "connection-lost", error
        assert "the server went silent" in error["message"] or then is Then.CUT, error
    assert took < ONE_WAIT + CONNECT + MARGIN
    assert maria.versions() == ["c0de0001"]
    no_worker_is_left(maria_shop)


@pytest.mark.slow
@pytest.mark.parametrize(("then", "all_of_it"), WRITES)
def test_a_write_to_mariadb(then, all_of_it, maria_shop, maria):
    with between(to_maria(maria), UPDATE, then=then, all_of_it=all_of_it) as proxy:
        maria_shop.set_url(led(maria, proxy))
        ran, took = timed(maria_shop, "stamp", "head", "--yes")
        assert proxy.silent
        there = maria.versions()
    assert took < 2 * ONE_WAIT + CONNECT + MARGIN
    no_worker_is_left(maria_shop)
    (receipt,) = maria_shop.receipts
    state = json.loads(receipt.read_text())["state"]
    if not all_of_it and then is not Then.HELD:
        assert (ran.status, state, there) == (0, "verified", ["c0de0002"]), ran.everything
        return
    assert (ran.status, state) == (5, "failed"), ran.everything
    assert ran.json["error"]["message"].startswith("perhaps written, not verified"), ran.everything
