"""The project's own Alembic configuration is what counts: files, options, targets, env.py, version table."""

from __future__ import annotations

import json
import shutil

import alembic.command
import alembic.config
import pytest

from tests.writing import write_env, write_ini

pytestmark = pytest.mark.compatibility

REPORTS_ITS_CONTEXT = """
import json, pathlib
report = {
    "x": context.get_x_argument(as_dictionary=True),
    "options": {k: v for k, v in vars(config.cmd_opts).items() if k != "cmd"},
    "command": config.cmd_opts.cmd[0].__name__,
    "config_file_name": config.config_file_name,
    "section": config.config_ini_section,
    "arguments": [list(config.cmd_opts.cmd[1]), list(config.cmd_opts.cmd[2])],
}
pathlib.Path(os.environ["REPORT"]).write_text(json.dumps(report))
"""
FROM_VARIABLE = 'create_engine(os.environ["SHOP_URL"], poolclass=pool.NullPool)'


def planned(project, *options, revision="aaaa0002", **environment):
    """Return a plan that is ready, as JSON; a failure shows its output."""
    ran = project.rescue("--format", "json", *options, "plan", revision, **environment)
    assert ran.status == 0, ran.everything
    return ran.json


def the_database(plan):
    (database,) = plan["databases"]
    return database["database"]


# --- which file, which section -----------------------------------------------------------------------------------


@pytest.mark.since("alembic", "1.16", "does not read pyproject.toml")
def test_pyproject_toml_alone_is_enough(project, database):
    linear = project("linear", database)
    (linear.root / "alembic.ini").unlink()
    (linear.root / "pyproject.toml").write_text(
        '[project]\nname = "shop"\n[tool.alembic]\nscript_location = "%(here)s/alembic"\n'
    )
    write_env(linear, engine=FROM_VARIABLE)
    ran = linear.rescue("stamp", "aaaa0002", "--yes", SHOP_URL=database.url)
    assert ran.status == 0, ran.stderr
    assert database.versions() == ["aaaa0002"]
    assert linear.rescue("undo", "--yes", SHOP_URL=database.url).status == 0  # even if the stamp created the table
    assert database.versions() == []


@pytest.mark.since("alembic", "1.16", "does not read pyproject.toml")
def test_pyproject_toml_and_alembic_ini_work_together_as_in_alembic(project, database):
    linear = project("linear", database)
    ini = linear.root / "alembic.ini"
    ini.write_text("\n".join(line for line in ini.read_text().splitlines() if not line.startswith("script_location")))
    (linear.root / "pyproject.toml").write_text('[tool.alembic]\nscript_location = "%(here)s/alembic"\n')
    assert the_database(planned(linear)) == database.name

    # With -c as well: alembic still reads the pyproject.toml of the working directory.
    elsewhere = linear.root / "deploy" / "production.ini"
    elsewhere.parent.mkdir()
    ini.rename(elsewhere)
    assert the_database(planned(linear, "-c", "deploy/production.ini")) == database.name


def test_a_pyproject_toml_of_other_tools_is_ignored(project, database):
    linear = project("linear", database)
    (linear.root / "pyproject.toml").write_text("[tool.ruff]\nline-length = 100\n")
    assert the_database(planned(linear)) == database.name


def test_c_and_its_variable_name_a_file_elsewhere(project, database):
    linear = project("linear", database)
    (linear.root / "deploy").mkdir()
    shutil.move(linear.root / "alembic.ini", linear.root / "deploy" / "production.ini")
    ini = linear.root / "deploy" / "production.ini"
    ini.write_text(ini.read_text().replace("%(here)s/alembic", "%(here)s/../alembic"))
    assert the_database(planned(linear, "-c", "deploy/production.ini")) == database.name
    assert the_database(planned(linear, ALEMBIC_CONFIG="deploy/production.ini")) == database.name


@pytest.mark.since("alembic", "1.16", "does not read pyproject.toml")
def test_c_names_a_pyproject_toml_elsewhere(project, database):
    linear = project("linear", database)
    toml = linear.root / "backend" / "pyproject.toml"
    toml.parent.mkdir()
    toml.write_text('[tool.alembic]\nscript_location = "%(here)s/../alembic"\n')
    write_env(linear, engine=FROM_VARIABLE)
    assert the_database(planned(linear, "-c", "backend/pyproject.toml", SHOP_URL=database.url)) == database.name


def test_n_names_a_section_with_its_own_scripts(project, database):
    linear = project("linear", database)
    shutil.copytree(linear.root / "alembic", linear.root / "billing")
    for file in (linear.root / "billing" / "versions").glob("*.py"):
        file.write_text(file.read_text().replace("aaaa0", "bbbb0"))
    ini = linear.root / "alembic.ini"
    ini.write_text(ini.read_text() + "\n[billing]\nscript_location = %(here)s/billing\nsqlalchemy.url = dummy\n")
    linear.set_url(database.url)

    assert planned(linear)["script_heads"] == ["aaaa0005"]
    assert planned(linear, "-n", "billing", revision="bbbb0002")["script_heads"] == ["bbbb0005"]
    assert planned(linear, revision="bbbb0002", ALEMBIC_RESCUE_NAME="billing")["script_heads"] == ["bbbb0005"]


def test_env_py_can_import_the_application_in_the_working_directory(project, database):
    linear = project("linear", database)
    ini = linear.root / "alembic.ini"
    ini.write_text(ini.read_text().replace("[alembic]", "[alembic]\nprepend_sys_path = ."))
    (linear.root / "shop_settings.py").write_text(f"url = {database.url!r}\n")
    write_env(linear, first="import shop_settings", engine="create_engine(shop_settings.url)")
    assert the_database(planned(linear)) == database.name


# --- what env.py receives ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "flag",
    ["dry=", pytest.param("dry", marks=pytest.mark.since("alembic", "1.13.1", "takes no -x without a value"))],
)
def test_env_py_receives_what_alembic_current_passes(project, database, tmp_path, flag):
    linear = project("linear", database)
    write_env(linear, first=REPORTS_ITS_CONTEXT)
    options = ["-c", "alembic.ini", "-x", "tenant=blue", "-x", flag]

    assert linear.alembic(*options, "current", REPORT=str(tmp_path / "theirs")).status == 0
    assert linear.rescue(*options, "diagnose", REPORT=str(tmp_path / "ours")).status == 0
    theirs, ours = (json.loads((tmp_path / who).read_text()) for who in ("theirs", "ours"))
    assert ours == theirs
    assert ours["x"] == {"tenant": "blue", "dry": ""}

    stamped = linear.rescue(*options, "stamp", "aaaa0001", "--yes", REPORT=str(tmp_path / "stamping"))
    assert stamped.status == 0, stamped.stderr
    assert json.loads((tmp_path / "stamping").read_text())["x"] == ours["x"]


def test_env_pys_version_table_and_schema_are_read_stamped_and_restored(project, database):
    linear = project("linear", database)
    write_env(linear, options='version_table="shop versions", version_table_schema="ops"')
    database.run("CREATE SCHEMA ops")
    database.run("CREATE TABLE public.alembic_version (version_num VARCHAR(32) PRIMARY KEY)")
    database.run("INSERT INTO public.alembic_version VALUES ('aaaa0005')")  # somebody else's
    assert linear.alembic("upgrade", "aaaa0001").status == 0

    plan = planned(linear, revision="aaaa0003")["databases"][0]
    assert (plan["version_table"], plan["version_table_schema"]) == ("shop versions", "ops")
    assert plan["version_table_found_in"] == "ops"
    assert plan["current_heads"] == ["aaaa0001"]

    stamped = linear.rescue("stamp", "aaaa0003", "--yes")
    assert stamped.status == 0, stamped.stderr
    assert database.versions('ops."shop versions"') == ["aaaa0003"]
    database.run(stamped.stdout.partition("to undo it by hand:\n")[2])
    assert database.versions('ops."shop versions"') == ["aaaa0001"]

    assert linear.rescue("stamp", "aaaa0003", "--yes").status == 0
    assert linear.rescue("undo", "--yes").status == 0
    assert database.versions('ops."shop versions"') == ["aaaa0001"]
    assert database.versions() == ["aaaa0005"]


# --- targets -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "target"),
    [
        (["0a11aa01", "1d44dd01"], "0c33"),
        (["0a11aa01", "1d44dd01"], "heads"),
        (["0a11aa01", "1d44dd01"], "orders@head"),
        (["0a11aa01", "1d44dd01"], "billing@+1"),
        (["0a11aa01"], "0a11aa01+1"),
        (["5afe0000"], "orders@head"),
        ([], "5afe0000"),
        ([], "+1"),
    ],
)
def test_a_target_is_resolved_as_by_alembic_upgrade(project, database, rows, target):
    branches = project("labelled_branches", database)
    write_env(branches)
    database.run("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)")
    for row in rows:
        database.run(f"INSERT INTO alembic_version VALUES ('{row}')")

    ours = planned(branches, revision=target)["databases"][0]["heads_after"]
    alembic.command.upgrade(alembic.config.Config(str(branches.root / "alembic.ini")), target)
    assert ours == database.versions()


@pytest.mark.parametrize(("target", "code"), [("head", "several-heads"), ("5afe", None), ("nowhere@head", "unknown")])
def test_a_target_that_alembic_refuses_is_refused(project, database, target, code):
    branches = project("labelled_branches", database)
    database.run("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)")
    database.run("INSERT INTO alembic_version VALUES ('5afe0000')")
    plan = branches.rescue_json("plan", target)
    if code is None:
        assert plan["outcome"] == "nothing-to-do"
    else:
        assert plan["outcome"] == "refused"
        assert plan["refusals"][0]["code"].startswith(code)


# --- SQLite ------------------------------------------------------------------------------------------------------


def test_sqlite_works_from_plan_to_undo(project):
    linear = project("linear", url="sqlite:///shop.db")
    assert linear.alembic("upgrade", "aaaa0001").status == 0

    plan = planned(linear, revision="head")["databases"][0]
    assert plan["dialect"] == "sqlite"
    assert plan["database"] == str(linear.root / "shop.db")
    assert (plan["current_heads"], plan["heads_after"]) == (["aaaa0001"], ["aaaa0005"])
    assert plan["encrypted"] is None

    assert linear.rescue("stamp", "aaaa0003", "--yes").status == 0
    assert "aaaa0003" in linear.alembic("current").stdout
    assert linear.rescue("undo", "--yes").status == 0
    assert "aaaa0001" in linear.alembic("current").stdout


def test_a_missing_sqlite_file_is_reported_and_not_created(project):
    linear = project("linear", url="sqlite:///shop.db")
    ran = linear.rescue("stamp", "head", "--yes")
    assert ran.status == 4
    assert f"error[database-missing]: database {linear.root / 'shop.db'} does not exist" in ran.stderr
    assert "relative to the working directory" in ran.stderr
    assert "hosted" not in ran.stderr
    assert not (linear.root / "shop.db").exists()


# --- the tool's own settings -------------------------------------------------------------------------------------


def test_the_settings_of_alembic_ini_are_used(project, database):
    linear = project("linear", database)
    write_ini(linear.root / "more.ini", "receipts = %(here)s/kept", "lock_timeout = 0.2", section="alembic_rescue")
    ini = linear.root / "alembic.ini"
    ini.write_text(ini.read_text() + (linear.root / "more.ini").read_text())

    assert linear.rescue("stamp", "aaaa0001", "--yes").status == 0
    assert [file.suffix for file in (linear.root / "kept").iterdir()] == [".json"]
    assert not linear.receipts
    with database.session() as holder, holder.cursor() as cursor:
        cursor.execute("LOCK TABLE alembic_version IN EXCLUSIVE MODE")
        ran = linear.rescue("stamp", "aaaa0002", "--yes")
    assert ran.status == 4
    assert "gave up after 0.2 s" in ran.stderr


def test_the_settings_of_pyproject_toml_are_used_and_the_option_wins(project, database):
    linear = project("linear", database)
    (linear.root / "pyproject.toml").write_text(
        '[tool.alembic_rescue]\nreceipts = "%(here)s/kept"\nlock_timeout = 0.25\n'
    )
    assert linear.rescue("stamp", "aaaa0001", "--yes").status == 0
    assert len(list((linear.root / "kept").iterdir())) == 1
    assert linear.rescue("--receipts", "elsewhere", "undo", "--yes").status == 3  # no receipt there
    assert f"Folder   {linear.root / 'kept'}\n" in linear.rescue("receipts").stdout


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "receipt = here",
            "unknown setting receipt; the settings are receipts, lock_timeout, statement_timeout, connect_timeout,",
        ),
        ("lock_timeout = soon", "lock_timeout is 'soon', which is not a number of seconds"),
        ("connect_timeout = 0", "connect_timeout must be from 0.001 to 2000000 seconds"),
        ("lock_timeout = nan", "lock_timeout must be from 0.001"),
        ("statement_timeout = inf", "statement_timeout must be from 0.001"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused(project, line, told):
    linear = project("linear")
    ini = linear.root / "alembic.ini"
    ini.write_text(ini.read_text() + f"\n[alembic_rescue]\n{line}\n")
    ran = linear.rescue("diagnose")
    assert ran.status == 2
    assert "error[bad-config]" in ran.stderr
    assert told in ran.stderr
    assert "alembic_rescue" in ran.stderr or "alembic.ini" in ran.stderr


# --- no configuration --------------------------------------------------------------------------------------------


def test_without_a_configuration_those_in_subfolders_are_named(project, tmp_path):
    linear = project("linear")
    ini = write_ini(linear.root / "backend" / "alembic.ini", "script_location = alembic")
    shutil.move(linear.root / "alembic.ini", tmp_path / "gone.ini")
    write_ini(linear.root / "node_modules" / "package" / "alembic.ini", "script_location = alembic")
    write_ini(linear.root / ".venv" / "lib" / "alembic.ini", "script_location = alembic")
    (linear.root / "pyproject.toml").write_text("[tool.ruff]\n")

    one = linear.rescue("diagnose")
    assert one.status == 2
    assert (
        f"error[no-config]: no Alembic configuration found: alembic.ini (or a pyproject.toml with [tool.alembic]) in "
        f"{linear.root} does not exist" in one.stderr
    )
    assert "help: found backend/alembic.ini:\n    alembic-rescue -c backend/alembic.ini diagnose" in one.stderr

    (ini.parent / "worker").mkdir()
    (ini.parent / "worker" / "pyproject.toml").write_text("[tool.alembic]\nscript_location = 'x'\n")
    several = linear.rescue("diagnose")
    assert (
        "help: there are several, choose one:\n    alembic-rescue -c backend/alembic.ini diagnose\n"
        "    alembic-rescue -c backend/worker/pyproject.toml diagnose" in several.stderr
    )

    shutil.rmtree(ini.parent)
    none = linear.rescue("--format", "json", "plan", "head").json
    assert none["error"]["code"] == "no-config"
    assert "run this in the root of the backend's repository" in none["error"]["help"]


def test_a_named_configuration_that_does_not_exist_is_reported(project):
    ran = project("linear").rescue("-c", "prod.ini", "diagnose")
    assert ran.status == 2
    assert "error[no-config]: no Alembic configuration found: prod.ini does not exist" in ran.stderr
    assert "alembic-rescue -c alembic.ini diagnose" in ran.stderr


def test_a_lock_timeout_on_the_command_line_that_means_no_timeout_is_refused(project):
    ran = project("linear").rescue("plan", "head", "--lock-timeout", "0")
    assert ran.status == 2
    assert "error[usage]: --lock-timeout must be from 0.001 to 2000000 seconds" in ran.stderr
