"""Reports for GitHub Actions: the same Markdown, cut to the size of a job summary, and the annotations."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from alembic_rescue import findings
from alembic_rescue.evidence.model import Cause, Verdict
from alembic_rescue.evidence.rehearsal import Answer, Rehearsal
from alembic_rescue.model import Action, DatabaseReport, Note, Outcome, Recommendation, Report, Revision
from alembic_rescue.report import evidence, picture
from alembic_rescue.report.annotations import Annotation, Level
from alembic_rescue.report.markdown import MarkdownPage

MOST_BYTES = 1024 * 1024
"""The limit of a step's summary; GitHub shows nothing of a longer one."""
CUT = "The report ends here, because GitHub shows at most 1 MiB. For all of it, use `--format html`."
_LISTED = 3
"""How many objects an annotation names."""
_REHEARSED = frozenset([Outcome.PASSES, Outcome.FAILS, Outcome.ERROR])
_PLACE = re.compile(r"(?<![^\s(])(?P<path>[^\s:()]+\.py):(?:(?P<line>\d+)\b| )")
_FILE = re.compile(r"\((?P<path>[^\s:()]+\.py)\)")
_OF_A_FILE = frozenset(["revision-changed"])
"""Findings about a whole file."""


def fitting(markdown: str, room: int) -> str:
    """Return the beginning that fits, cut at an empty line outside of code, with open sections closed.

    Args:
        room: in bytes.

    Returns:
        All of it; or its beginning followed by :data:`CUT`; or an empty text if not even that fits.
    """
    if len(markdown.encode()) <= room:
        return markdown
    fence, depth, size = "", 0, 0
    kept, end = 0, f"{CUT}\n\n"
    lines = markdown.split("\n")
    for number, line in enumerate(lines, 1):
        size += len(line.encode()) + 1
        ticks = re.match(r"`{3,}", line)
        if ticks and not fence:
            fence = ticks[0]
        elif fence and line == fence:
            fence = ""
        elif not fence:
            depth += (line == "<details>") - (line == "</details>")
        ends = "</details>\n\n" * depth + f"{CUT}\n\n"
        if size + len(ends) > room:
            break
        if not line and not fence:
            kept, end = number, ends
    told = "".join(f"{line}\n" for line in lines[:kept]) + end
    return told if len(told.encode()) <= room else ""


class GithubPage(MarkdownPage):
    """The same Markdown, and the annotations for it.

    Args:
        hide: removes secrets; applied to each text.
        from_root: makes a path of the report relative to the repository's root; empty if it is outside.
    """

    def __init__(self, hide: Callable[[str], str], from_root: Callable[[str], str]) -> None:
        super().__init__(hide)
        self._from_root = from_root
        self.annotations: list[Annotation] = []

    def _annotate(
        self, level: Level, kind: str, message: str, path: str = "", line: int | None = None, about: str = ""
    ) -> None:
        file = self._from_root(path) if path else ""
        self.annotations.append(
            Annotation(
                level,
                self._hide(f"alembic-rescue: {kind}"),
                self._hide(message),
                self._hide(file),
                line if file else None,
                about,
                f"{path}:{line}" if line else path,
            )
        )

    def _note(self, level: Level, note: Note) -> None:
        """Annotate a note, at the first line that its message names, if possible of a file in the repository."""
        found = [(one["path"], one["line"]) for one in _PLACE.finditer(note.message)]
        inside = (one for one in found if self._from_root(one[0]))
        path, number = next(inside, found[0] if found else ("", None))
        line = int(number) if number else None
        if note.code in _OF_A_FILE and (file := _FILE.search(note.message)):
            path, line = file["path"], 1
        self._annotate(level, note.code, _with_help(note.message, note.help), path, line)

    def warning(self, note: Note) -> None:
        """Annotated, too."""
        super().warning(note)
        self._note(Level.WARNING, note)

    def error(self, note: Note) -> None:
        """Annotated, too."""
        super().error(note)
        self._note(Level.ERROR, note)

    def recommendation(self, advice: Recommendation) -> None:
        """Annotated, if there is something to do."""
        super().recommendation(advice)
        if advice.action is not Action.NOTHING:
            named = f"{advice.action.value} {advice.revision or ''}".strip()
            to_do = advice.steps or ((advice.command,) if advice.command else ())
            message = "\n".join([f"Recommendation: {named}: {advice.reason}.", *to_do])
            self._annotate(Level.NOTICE, "recommendation", message)

    def whole(self, report: Report, part: DatabaseReport) -> None:
        """Annotate what fails, and each revision that is not proved."""
        super().whole(report, part)
        if report.outcome in picture.WRITTEN:
            return
        noted = list(enumerate(self.annotations))
        for cause in part.causes:
            self._cause(cause, [number for number, one in noted if one.place and one.place == cause.place])
        if part.rehearsal is not None and report.outcome in _REHEARSED:
            self._rehearsal(part.rehearsal, part.causes)
        for revision in picture.in_question(report, part):
            is_claimed = part.located is None and revision.revision not in part.pending_after
            self._revision(revision, is_claimed=is_claimed)

    def _cause(self, cause: Cause, noted: Sequence[int]) -> None:
        """Raise the level of the annotations at the cause's line; if there are none, add one in the words of a finding.

        Args:
            noted: the numbers of the annotations at that line.
        """
        is_certain = cause.fails and cause.aborts and not cause.without_rows
        for number in noted if is_certain else ():
            self.annotations[number] = replace(self.annotations[number], level=Level.ERROR)
        for note in () if noted else findings.causes([cause]):
            level = Level.ERROR if is_certain else Level.WARNING
            self._annotate(level, note.code, _with_help(note.message, note.help), cause.path, cause.line)

    def _rehearsal(self, found: Rehearsal, causes: Sequence[Cause]) -> None:
        if found.error and not any(cause.fails and cause.aborts for cause in causes):
            level = Level.WARNING if found.undecided else Level.ERROR
            failed = f"{found.failed} fails" if found.failed else "the upgrade fails"
            where = " on a copy of the schema, without rows" if found.undecided else ""
            message = _with_help(f"{failed}{where}: {found.error}", found.fix)
            self._annotate(level, "rehearsal", message, found.path, found.line)
        for answer in found.violations:
            self._answer(Level.ERROR, "rows do not fit", answer)
        for answer in found.untold:
            self._answer(Level.WARNING, "rows not checked", answer)

    def _answer(self, level: Level, kind: str, answer: Answer) -> None:
        message = _with_help(f"{answer.demand.revision}: {answer.demand.what}: {answer.told}", answer.fix)
        self._annotate(level, kind, message, answer.path, answer.line)

    def _revision(self, revision: Revision, *, is_claimed: bool) -> None:
        """Annotate a verdict that is not as it should be; a pending revision may well be missing."""
        verdict = revision.verdict
        if verdict is Verdict.UNVERIFIABLE:
            level, objects = Level.WARNING, [(one, f"{one.named}: {one.detail}") for one in revision.unread]
        elif verdict is Verdict.PARTIAL or (verdict is Verdict.NOT_APPLIED and is_claimed):
            level, objects = Level.ERROR, [(one, evidence.told(one)) for one in revision.missing]
        else:
            return
        if revision.accepted:
            level = Level.NOTICE
        listed = "\n".join(said for _, said in objects[:_LISTED])
        more = f"\nand {len(objects) - _LISTED} more" if len(objects) > _LISTED else ""
        accepted = ", accepted" if revision.accepted else ""
        message = f"{revision.revision} is {verdict.value}{accepted}" + (f":\n{listed}{more}" if listed else "")
        line = next((one.line for one, _ in objects if one.line and one.path == revision.path), None)
        self._annotate(level, verdict.value, message, revision.path, line, revision.revision)


def _with_help(message: str, to_do: str) -> str:
    return f"{message}\nhelp: {to_do}" if to_do else message
