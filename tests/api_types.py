"""How the Python API is used, for the type checker: `make check` reads this file, no test runs it."""

from __future__ import annotations

from pathlib import Path

from alembic.config import Config

from alembic_rescue import (
    Mode,
    Outcome,
    Project,
    Receipt,
    Refusal,
    Rehearsal,
    Report,
    RescueError,
    complete,
    diagnose,
    diagnose_applied,
    list_receipts,
    load,
    locate,
    plan,
    redeploy,
    rehearse,
    rehearse_from_empty,
    repair,
    script,
    stamp,
    undo,
    upgrade,
    wait,
)


def rescue(target: str, folder: Path) -> int:
    """Every verb, with its types."""
    project: Project = load("alembic.ini", url="postgresql://localhost/shop", lock_timeout=2)
    made_in_code = [load(config=Config()), load(config_from="shop.migrating:config"), load(app="shop:create_app")]
    report: Report = diagnose(made_in_code[0] if target == "head" else project)
    lacking: Report = diagnose_applied(project)
    lacking = rehearse_from_empty(project, "heads", against="main") if target == "heads" else lacking
    stands_at = locate(project).databases[0].located
    rehearsal: Rehearsal | None = rehearse(project, target).databases[0].rehearsal
    heads: tuple[str, ...] = report.databases[0].database.current_heads
    try:
        if plan(project, target).outcome is Outcome.READY:
            text: str | None = script(project, target, "bash").text
            (folder / "stamp.bash").write_text(text or "")
            stamp(project, target, confirm=lambda planned: bool(planned.databases), folder=folder, reason="stuck")
            complete(project, target, confirm=lambda _: rehearsal is None or rehearsal.passes, folder=folder)
            repair(project, confirm=lambda _: True, folder=folder)
    except Refusal as refusal:
        code: str = refusal.code
        return len(code)
    except RescueError as error:
        return error.exit_status
    receipts: list[Receipt] = list_receipts(folder)
    undo(project, receipts[-1].id, confirm=lambda _: True, folder=folder)
    ran: tuple[str, ...] = upgrade(project, target, wait=60, retries=1, verify=True).databases[0].ran
    there: bool = bool(ran) or wait(project, target, timeout=60, interval=1, applied=True).outcome is Outcome.REACHED
    done = redeploy(
        project, render="shop", mode=Mode.BUILD, confirm=lambda planned: planned.branch == "main"
    ).deployment
    there = there and done is not None and done.status == "live"
    return there + len(heads) + len(lacking.databases) + len(stands_at.revisions if stands_at else ())
