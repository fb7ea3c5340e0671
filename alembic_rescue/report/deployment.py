"""Report a deployment: before it is triggered, and at its end.  Returns strings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.text import Text

from alembic_rescue.deploying.values import Planned
from alembic_rescue.errors import rows, some
from alembic_rescue.evidence.deployed import Deployed, Mode
from alembic_rescue.evidence.sentences import sentence
from alembic_rescue.model import Action, DatabaseReport, Report
from alembic_rescue.report import text as texts
from alembic_rescue.report import waiting
from alembic_rescue.report.page import Sheet

_MODES = {Mode.BUILD: "build and deploy (--build)", Mode.DEPLOY_ONLY: "deploy without a build (--deploy-only)"}


def planned(plan: Planned, *, page: Sheet) -> str:
    """What is about to be triggered."""
    _databases(page, plan.databases)
    page.fact("Service" if plan.choice else "Hook", plan.service, "bold")
    if plan.branch:
        page.fact("Branch", plan.branch)
    if plan.choice:
        page.fact("Commit", plan.choice.commit)
        page.fact("How", _MODES[plan.choice.mode], "bold")
        page.fact("Why", plan.choice.why)
    return page.text()


def _databases(page: Sheet, databases: Sequence[DatabaseReport]) -> None:
    """Where each database is, and what the deployment has to run there."""
    alike: dict[tuple[object, ...], list[DatabaseReport]] = {}
    for part in databases:
        told = (part.database.current_heads, part.pending_after, part.recommendation)
        alike.setdefault(told, []).append(part)
    for part, *others in alike.values():
        named = [one.database.identity.sentence for one in (part, *others)]
        page.fact("Database", f"{some(named, verb=False)}, at {rows(part.database.current_heads)}", "bold")
        page.fact("", texts.named_pending(part.pending_after))
        advice = part.recommendation
        if advice.action is not Action.NOTHING and not advice.upgrades:
            page.fact("Despite", f"{advice.action.value}: {advice.reason}", "bold yellow")


def deployed(report: Report, *, page: Sheet) -> str:
    """The text of ``redeploy`` on success."""
    done = report.deployment
    assert done is not None, "there was a deployment"
    reasons = "; ".join(dict.fromkeys(part.recommendation.reason for part in report.databases))
    is_proved = all(part.recommendation.action is Action.NOTHING for part in report.databases)
    how = ("proved", "bold green") if is_proved else ("not proved", "bold yellow")
    page.begin("redeploy")
    ended(done, page=page)
    waiting.reached(report, page=page, is_proved=False)
    page.line(Text.assemble("The database is at the latest revision: ", how, f" ({reasons})."))
    return page.text()


def failed(report: Report, *, page: Sheet, already: Callable[[str], bool]) -> str:
    """The text after a failed deployment: the last lines of its log, and the diagnosis.

    Args:
        already: whether a line of the log has been shown; if all have been, they are not repeated.
    """
    lines = report.deployment.last_lines if report.deployment else ()
    page.begin("redeploy")
    if not all(map(already, lines)):
        page.title("Last lines of its log")
        for line in lines:
            page.indented(line)
        page.line()
    if report.databases:
        texts.diagnosis(report, page=page)
    return page.text()


def ended(done: Deployed, *, page: Sheet) -> str:
    """One line: how it ended, as far as known."""
    named = f"{done.service} ({done.id})" if done.id else done.service
    if done.status is None:
        page.line(Text.assemble(("Triggered", "bold green"), f": {named}. {sentence(done.untold)}."))
        return page.text()
    newer = f"; {done.superseded_by}, a newer one, has replaced it since" if done.superseded_by else ""
    page.line(Text.assemble(("Live", "bold green"), f": {named}{newer}."))
    return page.text()
