"""Errors carry their facts as fields, and arrive unchanged: pickled, copied, and as JSON from another process."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
import traceback
from types import SimpleNamespace

import pytest

from alembic_rescue import errors
from alembic_rescue.model import Blocker
from alembic_rescue.project.below import Found

BLOCKER = Blocker(
    pid=4711, application="shop", role="shop", client="local", state="idle in transaction", age_seconds=None, query="",
    locks=("AccessShareLock",), awaits=(), blocks=("public.alembic_version",), end_command="SELECT 1",
)  # fmt: skip
FOUND = Found("backend/alembic.ini", "backend", "wsgi")
REPORT = SimpleNamespace(refusals=[errors.UnknownRevision("aaaa0009")])

SAMPLES = {
    "str": "a {curly} 'quoted' ünïcode",
    "float": 2.5,
    "int": 32,
    "int | None": 7,
    "bool": True,
    "Sequence[int]": [4711, 4712],
    "Sequence[str]": ["a", "b", "c", "d", "e"],
    "Sequence[str] | None": ["a", "b"],
    "Sequence[Found]": [FOUND, FOUND],
    "Found": FOUND,
    "tuple[str, str, str] | None": ("2.1", "psycopg", "psycopg"),
    "Mapping[str, Sequence[str]]": {"written": ["a"], "not written": ["b", "c"]},
    "Report": REPORT,
}
BASES = (errors.RescueError, errors.UsageError, errors.Refusal, errors.DatabaseError)
KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.RescueError) and kind not in BASES
]
all_kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def made(kind):
    """Return an error of that kind, with a value for each fact."""
    return kind(*(SAMPLES[annotation] for annotation in inspect.get_annotations(kind).values()))


def sent(error):
    """Return what arrives of it in another process."""
    return errors.from_json(json.loads(json.dumps(error.to_json())))


WAYS = {"pickled": lambda error: pickle.loads(pickle.dumps(error)), "copied": copy.copy, "sent as JSON": sent}
each_way = pytest.mark.parametrize("travel", WAYS.values(), ids=WAYS)


def all_of(error):
    return (type(error), str(error), error.message, error.help, error.code, error.exit_status, error.facts,
            error.blockers, error.trace)  # fmt: skip


# --- each kind ---------------------------------------------------------------------------------------------------


@all_kinds
@each_way
def test_an_error_arrives_unchanged(kind, travel):
    left = made(kind)
    left.message = f"shop at db:5432: {left.message}"
    left.help += "; and a hint"
    left.blockers = (BLOCKER,)
    left.trace = "Traceback ..."

    arrived = travel(left)

    assert all_of(arrived) == all_of(left)
    assert arrived is not left
    assert arrived.blockers[0] == BLOCKER


@all_kinds
def test_its_arguments_are_its_attributes_and_its_facts(kind):
    error = made(kind)
    names = [name for name in inspect.get_annotations(kind) if name not in ("message", "help", "report")]
    assert list(error.facts) == names
    json.dumps(error.facts)
    for name in names:
        value, given = getattr(error, name), SAMPLES[inspect.get_annotations(kind)[name]]
        assert value == (tuple(given) if isinstance(given, list) else given)
        assert getattr(sent(error), name) == value or isinstance(value, dict)


@all_kinds
def test_its_text_is_complete(kind):
    error = made(kind)
    assert error.message
    assert error.help
    assert str(error) == error.message
    assert error.message == error.message.strip()
    assert error.help == error.help.strip()
    assert "self." not in error.message + error.help


def test_no_two_kinds_share_a_code():
    codes = [kind.code for kind in KINDS if "code" in vars(kind)]
    assert len(codes) == len(set(codes)) == len(KINDS) - 1  # PlanRefused has its first refusal's code


# --- what all of them do -----------------------------------------------------------------------------------------


def test_arguments_are_bound_as_python_binds_them():
    error = errors.BadConfigFrom("shop:config", reason="it is a module")
    assert (error.name, error.reason) == ("shop:config", "it is a module")
    assert error.help == "write it as package.module:callable; the callable must return a Config"
    assert errors.LockTimeout(seconds=2, what="alembic_version").seconds == 2
    with pytest.raises(TypeError, match="missing a required argument: 'database'"):
        errors.UnknownHost()
    with pytest.raises(TypeError, match="too many positional arguments"):
        errors.NotConfirmed("really")


def test_its_message_reflects_its_current_facts():
    error = errors.UnknownHost("shop", "no such name")
    error.message = "shop: " + error.message
    assert str(error) == "shop: cannot resolve the host of shop: no such name"
    assert repr(error) == f"UnknownHost({error.message!r})"
    assert traceback.format_exception_only(type(error), error)[-1].endswith(f": {error.message}\n")


def test_an_error_without_its_own_text_uses_message_and_help():
    class Unheard(errors.Refusal):
        code = "unheard"

    error = Unheard("it is unheard of", help="listen")
    assert (error.message, error.help, error.exit_status, error.facts) == ("it is unheard of", "listen", 3, {})
    assert all_of(sent(error)) == all_of(error)


def test_an_unknown_kind_becomes_an_internal_error_with_its_text():
    content = {**errors.UnknownHost("shop", "no such name").to_json(), "kind": "Newer"}
    arrived = errors.from_json(content)
    assert type(arrived) is errors.InternalError
    assert arrived.exit_status == errors.INTERNAL
    assert "Newer: cannot resolve the host of shop: no such name" in str(arrived)


def test_only_facts_of_its_kind_are_accepted():
    content = errors.UnknownHost("shop", "no such name").to_json()
    content["facts"]["to_json"] = "no fact"
    assert errors.from_json(content).facts == {"database": "shop", "reason": "no such name"}


def test_a_refused_plan_has_the_first_refusals_code_and_keeps_its_report():
    left = errors.PlanRefused(REPORT)
    arrived = sent(left)
    assert (arrived.code, arrived.message, arrived.exit_status) == ("unknown-revision", left.message, 3)
    assert left.report is REPORT
    assert arrived.report is None
    assert copy.copy(left).report is REPORT


def test_configurations_in_subfolders_can_still_be_named_after_the_transfer():
    for error in (errors.NoConfig("alembic.ini", [FOUND]), errors.FlaskAppNeeded(FOUND)):
        told = sent(error).told(["stamp", "head"])
        assert type(told) is type(error)
        assert FOUND.command(["stamp", "head"]) in told.help


def test_a_value_that_json_cannot_hold_is_no_fact():
    with pytest.raises(TypeError, match="fact cannot be object"):
        _ = errors.UnknownHost("shop", object()).facts


# --- the workers, and the scratch database -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code", "status", "says", "helps"),
    [
        (
            errors.ConfigDoesNotTravel(["connection", "tenant"]),
            "config-does-not-travel", 2, "attributes['connection'] and attributes['tenant']",
            'config_from="package.module:callable"',
        ),
        (errors.ScratchMissing("no programs", "install one"), "scratch-missing", 2, "no programs", "install one"),
        (errors.ScratchUnfit("x://", "no such driver"), "scratch-unfit", 2, "--scratch x:// cannot", "--scratch local"),
        (errors.ScratchNotEmpty("spare", "a table"), "scratch-not-empty", 2, "it has a table", "--scratch URL"),
        (
            errors.ScratchIsProjects("spare", "shop at db:5432"),
            "scratch-is-the-projects", 2, "spare is on the same server as shop at db:5432", "Pass another server",
        ),
        (errors.ScratchFailed("16", "no space left"), "scratch-failed", 2, "no space left", "--scratch none"),
        (
            errors.ExtensionMissing(["postgis"], "PostgreSQL 16"),
            "scratch-extension-missing", 2, "lacks the extension postgis, but the migrations need it", "install it",
        ),
        (
            errors.ExtensionMissing(["postgis", "vector"], "PostgreSQL 16"),
            "scratch-extension-missing", 2, "lacks the extensions postgis and vector, but the migrations need them",
            "a server that has them",
        ),
        (errors.BaselineFailed("a.sql", "no such type", 7), "baseline-failed", 2, "at a.sql:7: no such", "plain SQL"),
        (errors.BaselineFailed("a.sql", "no such file"), "baseline-failed", 2, "at a.sql: no such file", "plain SQL"),
        (
            errors.WorkerDied("was ended by SIGKILL", "looking", "loading numpy"),
            "worker-died", 4, "the process that runs env.py was ended by SIGKILL while looking",
            "A machine that runs out of memory sends SIGKILL; it printed: loading numpy",
        ),
        (errors.WorkerDied("ended with status 3", "looking"), "worker-died", 4, "with status 3", "ends the same way"),
        (
            errors.WorkerSilent(5, "looking", "env.py:12"),
            "worker-silent", 4, "within 5 s while looking, at env.py:12; it was stopped", "`alembic current`",
        ),
        (errors.WorkerSilent(5, "looking"), "worker-silent", 4, "within 5 s while looking; it", "went silent"),
        (errors.StillWriting([4711]), "still-writing", 5, "in process 4711: the version table may", "diagnose"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, errors.RescueError) else None,
)  # fmt: skip
def test_errors_of_workers_and_of_the_scratch_database(error, code, status, says, helps):
    assert (error.code, error.exit_status) == (code, status)
    assert says in error.message
    assert helps in error.help
