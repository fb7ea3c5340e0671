"""A password with an unencoded character is never shown in parts, as a host, a port or a database; it is reported."""

from __future__ import annotations

import pytest
from sqlalchemy.engine import make_url

from alembic_rescue import errors
from alembic_rescue.connection import urls
from alembic_rescue.redact import Secrets
from tests import chains
from tests.conftest import ProjectCopy

PIECES = ("Kx7first", "Qz9second", "Wv5third")
TORN = ["{0}@{1}", "@{0}@{1}", "{0}@{1}/{2}", "{0}@{1}/{2}@x", "{0}/{1}@{2}", "{0}#{1}@{2}", "{0}?{1}@{2}"]
WHOLE = ["{0}/{1}", "{0}#{1}", "{0}?{1}", "{0}:{1}", "/{0}"]
"""SQLAlchemy reads these as intended."""
SAME = {"rrr": "op.create_table('t', sa.Column('id', sa.Integer, primary_key=True))"}


def url_with(form):
    return f"postgresql+psycopg2://shop:{form.format(*PIECES)}@127.0.0.1:1/shop"


@pytest.mark.parametrize("form", TORN)
def test_a_url_torn_by_its_password_is_refused_and_no_piece_is_printed(form):
    with pytest.raises(errors.BadUrl) as refused:
        urls.parse(url_with(form))
    assert "not percent-encoded" in refused.value.message
    assert "%40 for @" in refused.value.help
    assert not any(piece in refused.value.message for piece in PIECES)


@pytest.mark.parametrize("form", [*WHOLE, "{0}%40{1}", "plain"])
def test_a_url_that_is_read_as_intended_is_not_refused(form):
    assert not urls.is_torn(urls.parse(url_with(form)))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user@server:pw@server.postgres.example/shop",
        "postgresql://shop:pw@db.example.org/shop?application_name=me@here",
        "postgresql://shop@db.example.org/shop",
        "sqlite:////home/me@here/some@where/shop.db",
        "postgresql:///shop?host=/var/run/me@here",
    ],
)
def test_an_at_sign_elsewhere_is_left_alone(url):
    urls.parse(url)
    assert not urls.is_torn(make_url(url))


@pytest.mark.parametrize("form", [*TORN, *WHOLE])
def test_each_piece_is_a_secret_in_other_programs_messages(form):
    secrets = Secrets()
    secrets.add_url(url_with(form))
    for piece in PIECES:
        if piece in form.format(*PIECES):
            assert piece not in secrets.hide(f'could not translate host name "{piece}@127.0.0.1" to address')
            assert piece not in secrets.hide(f"Port could not be cast to integer value as '{piece}'")


@pytest.mark.slow
@pytest.mark.parametrize("form", [*TORN, "{0}/{1}"])
@pytest.mark.parametrize("how", ["ini", "option", "variable"])
def test_no_piece_is_in_any_output(tmp_path, form, how):
    url = url_with(form)
    project = ProjectCopy(chains.write(tmp_path / "project", url.replace("%", "%%"), SAME).root, tmp_path / "state")
    ran = (
        project.rescue("--url", url, "--debug", "diagnose")
        if how == "option"
        else project.rescue("diagnose", **({"ALEMBIC_RESCUE_URL": url} if how == "variable" else {}))
    )
    assert (ran.status, "error[bad-url]" in ran.stderr) == ((2, True) if form in TORN else (4, False)), ran.everything
    assert not any(piece in ran.everything for piece in PIECES)


@pytest.mark.slow
def test_a_url_that_only_env_py_reads_shows_no_piece_either(tmp_path):
    env = """
import os
from urllib.parse import urlsplit
urlsplit(os.environ["DATABASE_URL"]).port
"""
    root = chains.write(tmp_path / "project", "postgresql+psycopg2://shop@127.0.0.1:1/shop", SAME, env=env).root
    ran = ProjectCopy(root, tmp_path / "state").rescue("diagnose", DATABASE_URL=url_with("{0}/{1}"))
    assert "env-failed" in ran.stderr
    assert "Port could not be cast" in ran.stderr
    assert not any(piece in ran.everything for piece in PIECES)
