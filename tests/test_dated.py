"""Tables named after the day on which the revision ran: production has others than the scratch server."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from alembic_rescue import Verdict
from alembic_rescue.evidence import dated
from alembic_rescue.evidence.observation import CatalogObject, Observation
from tests.chains import told, write
from tests.conftest import fresh_database
from tests.observed import observe

TODAY = date(2026, 11, 26)


def table(name: str) -> CatalogObject:
    return CatalogObject("table", name)


@pytest.mark.parametrize(
    "name",
    [
        "events_2026_11",
        "events_2026_11_26",
        "events_202611",
        "events_20261126",
        "events_y2026m11",
        "events_y2026m11d26",
        "p2026_12_old",
        "events_2026_w48",
        "events_2026q4",
        "events_2027",
        "events_2027_01_0",
    ],
)
def test_a_date_near_today_is_recognised(name):
    assert dated.year_in(table(f"public.{name}"), TODAY) == ("2027" if "2027" in name else "2026")


@pytest.mark.parametrize("name", ["events", "events_2019_01", "t12026", "events_2031_01", "http2", "events_20261340"])
def test_what_is_no_date_or_too_far_from_today_is_not(name):
    assert dated.year_in(table(f"public.{name}"), TODAY) is None


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("events_2026_11", "events_2024_02"),
        ("events_2026_11_26", "events_2026_10_02"),
        ("events_202611", "events_202512"),
        ("events_y2026m11d26", "events_y2025m01d09"),
        ("events_2026_w48", "events_2025_w01"),
        ("events_2026q4", "events_2025q1"),
        ("events_2026", "events_2024"),
    ],
)
def test_the_same_names_with_other_dates_are_searched(name, other):
    step = Observation("r1", by_date=(table(f"public.{name}"),))
    assert CatalogObject("", f"public.{other}") in dated.looked_for([step])


# --- on a server --------------------------------------------------------------------------------------------------

slow = pytest.mark.slow

PARENT = 'op.execute("CREATE TABLE events (at date NOT NULL, n int) PARTITION BY RANGE (at)")'
MONTHS = """
import datetime
first = datetime.date.today().replace(day=1)
for _ in range({months}):
    name, after = f"events_{{first:%Y_%m}}", (first + datetime.timedelta(days=32)).replace(day=1)
    if not op.get_bind().exec_driver_sql(f"SELECT to_regclass('{{name}}')").scalar():
        op.execute(f"CREATE TABLE {{name}} PARTITION OF events FOR VALUES FROM ('{{first}}') TO ('{{after}}')")
        op.execute(f"CREATE INDEX ix_{{name}}_n ON {{name}} (n)")
    first = after
"""
SPELLED = """
op.execute("CREATE TABLE events_{year}_01 PARTITION OF events FOR VALUES FROM ('{year}-01-01') TO ('{year}-02-01')")
"""


def month(year: int, number: int, *, index: bool = True) -> str:
    first = date(year, number, 1)
    after = (first + timedelta(days=32)).replace(day=1)
    name = f"events_{first:%Y_%m}"
    made = f"CREATE TABLE {name} PARTITION OF events FOR VALUES FROM ('{first}') TO ('{after}');"
    return made + (f"CREATE INDEX ix_{name}_n ON {name} (n);" if index else "")


EVENTS = "CREATE TABLE events (at date NOT NULL, n int) PARTITION BY RANGE (at);"


def judged(bodies, live_sql, database, scratch, tmp_path):
    chain = write(tmp_path / "project", database.url, bodies)
    if live_sql:
        database.run(live_sql)
    return observe(chain.root, chain.revisions, scratch).judged(database)


@slow
def test_tables_of_another_month_count_as_the_same(database, scratch, tmp_path):
    sql = EVENTS + month(2025, 3) + month(2025, 4) + month(2025, 5)
    made, months = judged([PARENT, MONTHS.format(months=2)], sql, database, scratch, tmp_path)
    assert [made.verdict, months.verdict] == [Verdict.APPLIED] * 2, told(months)
    assert "it exists under another name: public.events_2025_03" in told(months)


@slow
def test_an_index_that_none_of_them_has_is_missing(database, scratch, tmp_path):
    sql = EVENTS + month(2025, 3, index=False)
    _, months = judged([PARENT, MONTHS.format(months=1)], sql, database, scratch, tmp_path)
    assert months.verdict is Verdict.PARTIAL, told(months)


@slow
def test_without_any_such_table_it_did_not_run(database, scratch, tmp_path):
    made, months = judged([PARENT, MONTHS.format(months=2)], EVENTS, database, scratch, tmp_path)
    assert [made.verdict, months.verdict] == [Verdict.APPLIED, Verdict.NOT_APPLIED], told(months)


@slow
def test_if_two_revisions_create_such_names_nobody_can_tell_them_apart(database, scratch, tmp_path):
    bodies = [PARENT, MONTHS.format(months=1), MONTHS.format(months=3)]
    found = judged(bodies, EVENTS + month(2025, 3), database, scratch, tmp_path)
    assert [one.verdict for one in found[1:]] == [Verdict.UNVERIFIABLE] * 2, told(found[2])
    assert dated.REASON in told(found[2])


@slow
def test_nor_can_the_later_one_be_told_alone(server, scratch, tmp_path):
    """The earlier one is not in question: it ran long ago."""
    with fresh_database(server) as live:
        chain = write(tmp_path / "project", live.url, [PARENT, MONTHS.format(months=1), MONTHS.format(months=3)])
        live.run(EVENTS + month(2025, 3))
        (later,) = observe(chain.root, chain.revisions, scratch).judged(live, 2)
        assert later.verdict is Verdict.UNVERIFIABLE, told(later)


@slow
def test_a_date_written_out_in_the_revision_must_match(database, scratch, tmp_path):
    year = datetime.now().astimezone().year
    bodies = [PARENT, SPELLED.format(year=year), SPELLED.format(year=year + 1)]
    found = judged(bodies, EVENTS + month(year, 1, index=False), database, scratch, tmp_path)
    assert [one.verdict for one in found] == [Verdict.APPLIED, Verdict.APPLIED, Verdict.NOT_APPLIED]
