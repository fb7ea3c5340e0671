"""The reference incident, act by act."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from alembic_rescue.demo.stage import Stage, staged

DATABASE = "documents"
STUCK = "documents_stuck"
"""A copy of the database from the start of the first act, to try things out."""
LATEST = "aae3309a2a8b"

_DATA = (
    "INSERT INTO users (id, email) VALUES (1, 'ada@example.org'), (2, 'grace@example.org')",
    """
    INSERT INTO documents (id, title, owner_id) VALUES
        ('6f1c1f0e-3b0f-4f4e-9a61-0d8a7a3f6a01', 'Minutes', 1),
        ('0b8f3a52-7c55-4d0c-8a43-2f1f6f0c9b02', 'Contract', 2),
        ('c2a9d7e4-51b8-4b7e-b1de-9e4c5d2a7f03', 'Draft', NULL)
    """,
)
_FAILURE = r"INFO |sqlalchemy\.exc|\[SQL"
"""The log and traceback lines that matter."""

_SWALLOWING = "alembic/versions/774225e563ca_add_document_ai_suggestions_and_version.py"
_SWALLOWED = """\
    try:
        op.execute("CREATE TYPE suggestion_status AS ENUM ('pending', 'accepted', 'rejected')")
    except Exception:
        pass  # already exists
"""
_MENDED = """\
    suggestion_status = postgresql.ENUM("pending", "accepted", "rejected", name="suggestion_status")
    suggestion_status.create(op.get_bind(), checkfirst=True)
"""


def incident(keep: Path | None, say: Callable[[str], object]) -> None:
    """Play all acts.

    Args:
        keep: a folder to leave project and database in.
        say: called with the text to show.

    Raises:
        RescueError: the demo cannot be played, or a step failed.
    """
    with staged(keep, say) as stage:
        stage.tell(
            f"The demo's own PostgreSQL {stage.server.version} runs in {stage.folder}, with the backend of "
            "the reference incident."
        )
        for act in ACTS:
            act(stage)
        stage.tell("Read on in README.md, or run alembic-rescue --help.")
        if keep is None:
            stage.tell("To try it out yourself: alembic-rescue demo --keep DIR")
        else:
            stage.open(DATABASE, template=STUCK)
            _say_what_is_kept(stage)


def version_is_behind(stage: Stage) -> None:
    """The objects exist, and only the version is behind: stamp."""
    stage.open(DATABASE)
    stage.tell(
        "The incident's database is at b354d12d1e7d, but the objects of the next two revisions exist. To "
        "reproduce that, both are really run, and then only the version is set back."
    )
    stage.run("alembic upgrade 774225e563ca", shows="65e4b4ef883d -> 774225e563ca")
    stage.server.run(DATABASE, *_DATA)
    stage.run("alembic stamp b354d12d1e7d", shows="774225e563ca -> b354d12d1e7d")
    stage.server.new_database(STUCK, template=DATABASE)

    stage.tell("The stuck deployment: 774225e563ca swallows an error, so its version cannot be recorded.")
    stage.run("alembic upgrade head", ends=1, shows="InFailedSqlTransaction", only=_FAILURE)

    stage.tell("Where is the database, and which pending revisions are already applied?")
    stage.run("alembic-rescue diagnose", shows="Recommendation: stamp 774225e563ca")
    stage.tell(
        "Every object of the two revisions was checked in the database, and all exist. The failing line is "
        "named too. What would the stamp do?"
    )
    _check_objects(stage, there=True)
    stage.run("alembic-rescue plan 774225e563ca", shows="Ready")
    stage.tell("Apply it. --yes skips the confirmation.")
    stage.run("alembic-rescue stamp 774225e563ca --yes", shows="Stamped and verified")
    stage.tell("The next deployment succeeds.")
    stage.run("alembic upgrade head", shows=f"-> {LATEST}")
    stage.run("alembic current", shows=f"{LATEST} (head)")
    _check_documents(stage)
    stage.tell("The existing documents are still there, now with UUIDs as identifiers.")


def nothing_is_there(stage: Stage) -> None:
    """The trap: the log is the same, but the failed run was rolled back completely.  Fix and rerun."""
    stage.open(DATABASE)
    stage.tell(
        "Second act, the trap. A fresh database at b354d12d1e7d, where the next two revisions are not "
        "applied. Only the type suggestion_status exists, left over from an earlier attempt."
    )
    stage.run("alembic upgrade b354d12d1e7d", shows="-> b354d12d1e7d")
    stage.server.run(DATABASE, *_DATA, "CREATE TYPE suggestion_status AS ENUM ('pending', 'accepted', 'rejected')")

    stage.tell("The stuck deployment. Its log is the same as in the first act, word for word.")
    stage.run("alembic upgrade head", ends=1, shows="InFailedSqlTransaction", only=_FAILURE)
    _check_objects(stage, there=False)
    stage.tell(
        "But all pending migrations ran in one transaction, and everything was rolled back, including 65e4b4ef883d."
    )
    stage.run("alembic-rescue diagnose", shows="Recommendation: rerun")

    stage.tell("If you stamp anyway, because it helped last time, the tool refuses.")
    stage.run("alembic-rescue stamp 774225e563ca --yes", ends=3, shows="error[revision-not-applied]: 65e4b4ef883d")
    stage.check("nothing was stamped", DATABASE, "SELECT version_num FROM alembic_version", "b354d12d1e7d")

    stage.tell("So do what diagnose says: fix the line it names, and check before creating.")
    stage.edit(_SWALLOWING, _SWALLOWED, _MENDED)
    stage.tell("And run it again.")
    stage.run("alembic upgrade head", shows=f"-> {LATEST}")
    _check_objects(stage, there=True)
    _check_documents(stage)
    stage.tell(
        "Everything exists, and nothing was lost. A bare `alembic stamp 774225e563ca` would also have "
        "exited with 0. But Alembic never runs what is stamped: tags, document_reviews and "
        "document_ai_suggestions would never have been created, and the next deployment would have failed "
        "at d47310025be2, which alters them."
    )


Act = Callable[[Stage], None]
ACTS: Sequence[Act] = (version_is_behind, nothing_is_there)
"""Each starts with a separate empty database."""


def reset(stage: Stage) -> None:
    """Reset the first act's database to where the deployment is stuck."""
    stage.server.new_database(DATABASE, template=STUCK)


def _check_objects(stage: Stage, *, there: bool) -> None:
    """Check what was said of the two revisions against the database.

    The type suggestion_status exists in both acts.
    """
    tables = "SELECT count(*) FROM pg_tables WHERE tablename IN ('tags', 'document_reviews', 'document_ai_suggestions')"
    enums = "SELECT count(*) FROM pg_type WHERE typname IN ('document_status', 'review_decision')"
    columns = (
        "SELECT count(*) FROM information_schema.columns "
        "WHERE table_name = 'documents' AND column_name IN ('status', 'version')"
    )
    are = "are there" if there else "were rolled back"
    stage.check(f"the tables {are}", DATABASE, tables, "3" if there else "0")
    stage.check(f"the enum types {are}", DATABASE, enums, "2" if there else "0")
    stage.check(f"the columns {are}", DATABASE, columns, "2" if there else "0")
    stage.check("suggestion_status is there", DATABASE, "SELECT to_regtype('suggestion_status') IS NOT NULL", "t")


def _check_documents(stage: Stage) -> None:
    kept = "SELECT count(*) FROM documents WHERE pg_typeof(id) = 'uuid'::regtype"
    stage.check("the documents were kept", DATABASE, kept, "3")


def _say_what_is_kept(stage: Stage) -> None:
    """The commands for trying things out, each on its own line to copy; they work in this order."""
    python, folder = shlex.quote(sys.executable), shlex.quote(str(stage.folder))
    stage.tell("The demo is kept, with the database stuck again and the server running. To try things out:")
    stage.say(
        f"\n    cd {shlex.quote(str(stage.project))}{_path_of_the_commands()}\n    alembic upgrade head     "
        "             # fails\n    alembic-rescue diagnose\n    alembic-rescue plan 774225e563ca\n    "
        "alembic-rescue stamp 774225e563ca     # asks first\n    alembic-rescue undo                   # "
        "as long as no migration has run\n    alembic-rescue stamp 774225e563ca\n    alembic upgrade head  "
        f"                # succeeds\n\n    {python} -m alembic_rescue.demo reset {folder}     # stuck "
        f"again\n    {python} -m alembic_rescue.demo stop {folder}      # the server\n    {python} -m "
        f"alembic_rescue.demo start {folder}\n    {python} -m alembic_rescue.demo remove {folder}    # "
        "everything\n"
    )


def _path_of_the_commands() -> str:
    """The line that puts the commands on a shell's PATH, if they are not."""
    folder = Path(sys.executable).parent
    known = shutil.which("alembic-rescue")
    if known is not None and Path(known).parent == folder:
        return ""
    return f"\n    export PATH={shlex.quote(str(folder))}:$PATH"
