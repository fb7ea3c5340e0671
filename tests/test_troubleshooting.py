"""docs/troubleshooting.md explains each code, and error[...] at a terminal links to its entry."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from alembic_rescue import errors
from alembic_rescue.report import explained, text
from alembic_rescue.report.page import Page
from tests.documents import all_parsed, shown
from tests.terminal import at_a_terminal

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
DOCUMENT = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
LINK = re.compile(r"\x1b\]8;[^;]*;([^\x1b]*)\x1b\\")
REFUSED = errors.ConnectionRefused("shop at db:5432", "Connection refused")


def kinds(kind=errors.RescueError):
    return [kind, *(below for child in kind.__subclasses__() for below in kinds(child))]


def entries(document=DOCUMENT):
    """The text of each entry, by its code."""
    parts = re.split(r"^(#{2,3}) (.*)\n", document, flags=re.MULTILINE)
    return [(heading, body) for level, heading, body in zip(parts[1::3], parts[2::3], parts[3::3], strict=True)
            if level == "###"]  # fmt: skip


def test_each_code_has_one_entry_and_each_entry_has_a_code():
    ours = {kind.code for kind in kinds() if kind.__module__.startswith("alembic_rescue.") and "code" in vars(kind)}
    assert sorted(code for code, _ in entries()) == sorted(ours)


@pytest.mark.parametrize(("code", "body"), entries(), ids=[code for code, _ in entries()])
def test_an_entry_says_what_it_means(code, body):
    prose = re.sub(r"^```\w*\n.*?^```$", "", body, flags=re.MULTILINE | re.DOTALL).strip()
    assert re.match(r"[A-Z`].+[.:]", prose.replace("\n", " ")), code
    for block in re.findall(r"^```\w*\n(.*?)^```$", body, re.MULTILINE | re.DOTALL):
        assert block.strip(), code


def test_each_group_is_listed_at_the_top():
    groups = re.findall(r"^## (.*)$", DOCUMENT, re.MULTILINE)
    assert re.findall(r"^- \[(.*)\]", DOCUMENT, re.MULTILINE)[: len(groups)] == groups


@pytest.mark.parametrize("call", sorted(set(shown(DOCUMENT))))
def test_each_command_parses(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("schema-before.sql").touch()
    all_parsed([call])


@pytest.mark.parametrize(
    "words",
    [
        "a free or idle database is paused, suspended or expired",
        "the *internal* one, whose host is known only within the platform's network",
        "an ip allow list without this host",
        "pooler",
        "?sslmode=require",
        "a read replica",
        "a schema without `usage`",
        "no connection left",
        "psql: command not found",
        "no module named 'psycopg2'",
    ],
)
def test_the_usual_causes_on_a_hosted_database_are_named(words):
    assert words in " ".join(DOCUMENT.lower().split())


# --- the link ----------------------------------------------------------------------------------------------------


def test_an_errors_code_is_a_link_with_colours():
    told = text.failure(REFUSED, page=Page(100, color=True))
    opened, closed = LINK.findall(told)
    address = urlsplit(opened)
    assert (address.scheme, address.fragment, closed) == ("file", "connection-refused", "")
    assert Path(unquote(address.path)).read_text("utf-8") == DOCUMENT
    linked = re.search(r"\x1b\]8;[^\x1b]+\x1b\\(.*?)\x1b\]8;;", told)
    assert re.sub(r"\x1b\[[0-9;]*m", "", linked[1]) == "error[connection-refused]"


def test_it_is_no_link_without_colours():
    assert "\x1b" not in text.failure(REFUSED, page=Page(100, color=False))


def test_it_is_no_link_if_the_document_is_not_installed(monkeypatch):
    monkeypatch.setattr(explained, "_NAME", "docs/elsewhere.md")
    explained._document.cache_clear()
    try:
        told = text.failure(REFUSED, page=Page(100, color=True))
    finally:
        explained._document.cache_clear()
    assert "\x1b]8" not in told
    assert "\x1b[1;31merror[connection-refused]" in told


def test_the_wheel_has_the_document_where_it_is_searched_first():
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"] == {"docs/troubleshooting.md": "alembic_rescue/docs/troubleshooting.md"}


@pytest.mark.slow
def test_only_at_a_terminal(project):
    linear = project("linear", url="postgresql+psycopg2://shop@127.0.0.1:1/shop")
    with at_a_terminal(linear, "diagnose") as terminal:
        terminal.end(60)
    assert "error[connection-refused]: no server answers" in terminal.text
    assert "#connection-refused\x1b\\" in terminal.raw
    for arguments, environment in (((), {"NO_COLOR": "1"}), (("--no-color",), {}), (("--format", "json"), {})):
        with at_a_terminal(linear, *arguments, "diagnose", **environment) as terminal:
            terminal.end(60)
        assert "connection-refused" in terminal.text
        assert "\x1b]8" not in terminal.raw
        assert "troubleshooting" not in terminal.raw
    assert "\x1b" not in linear.rescue("diagnose").everything
