"""Rows that the scripts lack: search for them, compare recovered files with the catalog, and report the result.

A recovered revision never counts as one of the scripts: it runs on the scratch database to show its effects, but plain
Alembic still does not know it.  So no stamp leads on from there: the code is restored, or the rows are repaired.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from alembic.script.revision import RevisionMap

from alembic_rescue import errors, findings, inspection, repairing
from alembic_rescue.client import Project
from alembic_rescue.evidence.lost import Found, Lost, Search
from alembic_rescue.evidence.model import SETTLED, ObjectEvidence, Proof, RevisionEvidence, Verdict
from alembic_rescue.evidence.sentences import sentence
from alembic_rescue.gate import Acceptance
from alembic_rescue.graph import path as paths
from alembic_rescue.graph import scripts
from alembic_rescue.inspection import View
from alembic_rescue.lost import looking
from alembic_rescue.lost.history import InGit
from alembic_rescue.lost.looking import Recovered
from alembic_rescue.model import NULL_ROW, Action, Choice, Database, DatabaseReport, Note, Recommendation, Revision
from alembic_rescue.proof import prove
from alembic_rescue.worker import script_files
from alembic_rescue.worker.requests import ScriptFile

Key = tuple[str, str]
_LOCATE = "to find which revision the schema is at: `alembic-rescue diagnose --locate`"


@dataclass(frozen=True)
class Seen:
    """What was found about the rows of one database that the scripts lack."""

    search: Search
    revisions: tuple[Revision, ...] = ()
    """The revisions whose files were found, with what the catalog says of each; paths as in git."""
    evidence: tuple[RevisionEvidence, ...] = ()
    follows: tuple[str, ...] = ()
    """The scripts' revisions that they build on."""
    beside: tuple[str, ...] = ()
    """The scripts' own revisions that follow the same point."""
    remade: tuple[str, ...] = ()
    """Those of `beside` that did here what the found revisions do: these were recreated under their ids."""

    @property
    def is_ahead(self) -> bool:
        """All of the rows are in git, and lead down to revisions of the scripts."""
        return self.search.joins and all(one.found is Found.GIT for one in self._of_rows) and not self.search.missing

    @property
    def never_ran(self) -> bool:
        """Nothing of what was found can have run here."""
        return bool(self.evidence) and not any(map(repairing.may_have_run, self.evidence))

    @property
    def unproved(self) -> tuple[str, ...]:
        """The revisions that may or may not have run; none if one of the others may have."""
        if not self.evidence:
            return self.search.sought
        if any(map(repairing.something_is_there, self.evidence)):
            return ()
        return tuple(one.revision for one in self.evidence if repairing.may_have_run(one))

    @property
    def is_replaced(self) -> bool:
        """The scripts name a replacement for each row."""
        return bool(self._of_rows) and all(one.found is Found.REPLACED for one in self._of_rows)

    @property
    def ahead(self) -> errors.AheadOfTheScripts:
        """The refusal to leave behind what may have run here."""
        return errors.AheadOfTheScripts(
            self.search.sought,
            self.commits,
            self.follows,
            self.beside,
            _effects(self.evidence),
            self.search.command or "",
            self.unproved,
        )

    @property
    def commits(self) -> list[str]:
        """For use in a sentence: the commits, each with what was found in it."""
        together: dict[str, list[str]] = {}
        for one in self.search.found:
            together.setdefault(one.place.removeprefix(one.path).lstrip(), []).append(one.revision)
        return [f"{errors.some(revisions, verb=False)} {at}" for at, revisions in together.items()]

    @property
    def _of_rows(self) -> list[Lost]:
        return [one for revision in self.search.sought if (one := self.search.of(revision))]

    def knowing(self, every: Sequence[RevisionEvidence]) -> Seen:
        """The same, given the evidence for all of the scripts' revisions."""
        done = {one.revision: {_named(o) for o in one.objects if o.met and not o.vacuous} for one in every}
        mine = {_named(found) for one in self.evidence for found in one.objects}
        alike = tuple(one for one in self.beside if not mine.isdisjoint(done.get(one, ())))
        wholly = mine <= set().union(*(done[one] for one in alike))
        ran = all(one.verdict in SETTLED for one in self.evidence)
        return replace(self, remade=alike if mine and wholly and ran else ())


def _named(found: ObjectEvidence) -> tuple[str, str, str]:
    return found.kind, found.name, found.expected


def _effects(evidence: Sequence[RevisionEvidence]) -> str:
    verdicts = {one.verdict for one in evidence}
    if not evidence:
        return "its changes were not compared with the database"
    if verdicts <= SETTLED:
        return "all its changes are in the database"
    if Verdict.PARTIAL in verdicts or (Verdict.NOT_APPLIED in verdicts and verdicts & SETTLED):
        return "only part of its changes are in the database"
    if all(one.verdict in SETTLED or one.is_there for one in evidence):
        return "all its objects exist"
    catalog = [found for one in evidence for found in one.objects if found.kind != "statement"]
    if catalog and not any(map(repairing.something_is_there, evidence)):
        return "none of its objects exist, and whether it changed rows is unknown"
    return "whether it ran here is unknown"


def look_for(project: Project, view: View) -> Sought:
    """Search for the rows that the scripts lack.  Does nothing if they have all of them.

    Raises:
        RescueError: a database cannot be read.
    """
    unknown = {one.identity.rows_key: rows for one in view.databases if (rows := _unknown(view.graph, one))}
    if not unknown:
        return Sought(project, view, {})
    locations = list(map(Path, project.loaded.locations)) or [project.loaded.env.parent / "versions"]
    known, hear, python = view.scripts.scripts, project.hear, project.python
    found = {rows: looking.look_for(rows, known, locations, hear, python=python) for rows in set(unknown.values())}
    seen = {key: Seen(found[rows].search) for key, rows in unknown.items()}
    ahead = {key: found[unknown[key]] for key, one in seen.items() if one.is_ahead}
    return Sought(project, view, seen | _observed(project, view, ahead) if ahead else seen)


def _unknown(graph: RevisionMap, database: Database) -> tuple[str, ...]:
    return tuple(row for row in dict.fromkeys(database.stands_at) if row != NULL_ROW and not scripts.has(graph, row))


def _observed(project: Project, view: View, ahead: Mapping[Key, Recovered]) -> dict[Key, Seen]:
    """Compare the effects of the recovered files with the databases whose rows say that they ran."""
    files = {one.lost.revision: one for recovered in ahead.values() for one in recovered.files}
    with tempfile.TemporaryDirectory(prefix="alembic-rescue-recovered-") as folder:
        written = [_written(one, Path(folder).resolve() / str(number)) for number, one in enumerate(files.values())]
        try:
            wide = scripts.graph((*view.scripts.scripts, *written))
        except errors.RescueError:  # for instance, another revision now has its label
            return {key: Seen(recovered.search) for key, recovered in ahead.items()}
        looked = View(wide, replace(view.scripts, scripts=(*view.scripts.scripts, *written)), view.meant, view.left_out)

        def recovered(graph: RevisionMap, database: Database) -> tuple[str, ...]:
            if database.identity.rows_key not in ahead:
                return ()
            return tuple(one for one in inspection.applied(graph, database) if one in files)

        project = project.with_recovered([str(file.path.parent) for file in written])
        try:
            proved = {one.visited.database.identity.rows_key: one.proof for one in prove(project, looked, recovered)}
        except errors.UsageError:  # a file that no longer loads, because what it imports has changed
            proved = {}
    return {
        key: _seen(
            wide, one, proved.get(key, Proof((), None)), {str(file.path): files[file.revision] for file in written}
        )
        for key, one in ahead.items()
    }


def _written(one: InGit, folder: Path) -> ScriptFile:
    folder.mkdir()
    path = folder / Path(one.path).name
    path.write_bytes(one.content)
    file = script_files.told_by_text(one.content, path)
    assert file is not None, "so it was found"
    return file


def _seen(graph: RevisionMap, recovered: Recovered, proof: Proof, files: Mapping[str, InGit]) -> Seen:
    places = {path: one.place for path, file in files.items() if (one := recovered.search.of(file.lost.revision))}
    told = replace(proof, revisions=tuple(_without_text(one, places) for one in proof.revisions))
    revisions = inspection.with_evidence(graph, [one.revision for one in told.revisions], told)
    theirs = [one for file in recovered.files for one in paths.follows(graph, file.lost.revision)]
    mine = {file.lost.revision for file in recovered.files}
    follows = tuple(dict.fromkeys(one for one in theirs if one not in mine))
    return Seen(
        recovered.search,
        tuple(replace(one, path=places.get(one.path, one.path)) for one in revisions),
        told.revisions,
        follows,
        tuple(one for one in paths.pending(graph, follows) if one not in mine),
    )


def _without_text(evidence: RevisionEvidence, places: Mapping[str, str]) -> RevisionEvidence:
    """Remove the file's text, which may hold a secret that is no longer known."""

    def told(found: ObjectEvidence) -> ObjectEvidence:
        name = "a statement" if found.kind == "statement" else found.name
        return replace(found, name=name, path=places.get(found.path, found.path), sql=None)

    return replace(evidence, objects=tuple(map(told, evidence.objects)))


# --- reports and advice -------------------------------------------------------------------------------------------


def notes(seen: Seen) -> tuple[Note, ...]:
    """What was found, with a separate note for each row that is reported individually."""
    search = seen.search
    if seen.remade:
        return (_made_anew(seen),)
    if seen.is_ahead:
        return (_never_ran(seen) if seen.never_ran else findings.note(seen.ahead),)
    return tuple(_note(search, revision) for revision in search.sought)


def _note(search: Search, revision: str) -> Note:
    lost = search.of(revision)
    if lost is None:
        but = f". Not looked in: {'; '.join(search.not_looked)}" if search.not_looked else ""
        return Note(
            "unknown-revision-not-found",
            f"{revision} was not found. Looked in: {'; '.join(search.looked)}{but}",
            f"ask whoever deployed last for the code that has it. If that is lost, {_LOCATE}",
        )
    if lost.found is Found.REPLACED:
        return Note(
            "revision-replaced",
            f"{revision} was removed on purpose: {lost.path} says that {lost.named_by} replaces it",
            f"if {lost.named_by} is proved, the version table should have it instead. To prove it and set "
            "the rows: `alembic-rescue repair`",
        )
    return Note("unknown-revision-found", *_found(search, lost))


def _found(search: Search, lost: Lost) -> tuple[str, str]:
    follows = f", which follows {errors.listed(lost.down_revisions)}" if lost.down_revisions else ""
    if lost.found is Found.COMPILED:
        message = f"only bytecode is left of {lost.revision}: {lost.path}{follows}; its source is gone"
        return message, f"find the source in what was deployed last. If it is lost, {_LOCATE}"
    if lost.found is Found.NAMED:
        message = f"{lost.revision} is gone: according to a comment in {lost.path}, {lost.named_by} used to follow it"
        return message, f"the history was edited; {_LOCATE}"
    below = [one for one in search.missing if one not in search.sought]
    lacks = f"; {errors.listed(below)} below it was not found" if below else ""
    nowhere = "" if search.joins else f", but does not lead down to any of these scripts{lacks}"
    return (
        f"{lost.revision} is in {lost.place}{follows}{nowhere}",
        f"deploy the code of that commit. If the history was squashed or restarted, {_LOCATE}",
    )


def _made_anew(seen: Seen) -> Note:
    rows, others = errors.listed(seen.search.sought), errors.listed(seen.remade)
    return Note(
        "unknown-revision-made-anew",
        f"{rows} is not in these scripts, but {others} makes the same changes, and they exist. Found in "
        f"git: {'; '.join(seen.commits)}",
        f"it was recreated as {others}. To set the rows to what is proved: `alembic-rescue repair`",
    )


def _never_ran(seen: Seen) -> Note:
    return Note(
        "unknown-revision-never-ran",
        f"the version table says {errors.listed(seen.search.sought)}, which is not in these scripts and did "
        f"not run here: none of its objects exist. Found in git: {'; '.join(seen.commits)}",
        "to set the rows to what is proved: `alembic-rescue repair`. If it should run here, restore it "
        f"first: `{seen.search.command}`",
    )


@dataclass(frozen=True)
class Sought:
    """What was found about rows that the scripts lack, by database; empty if they have all of them."""

    project: Project
    view: View
    seen: Mapping[Key, Seen]
    proofs: Mapping[Key, Proof] = field(default_factory=dict)
    """For all of the scripts' revisions, on databases where this may lead to a solution."""

    @property
    def revisions(self) -> frozenset[str]:
        """All revisions that were found."""
        return frozenset(lost.revision for one in self.seen.values() for lost in one.search.found)

    def hindrances(self, database: Database, proof: Proof, not_run: Collection[str] = ()) -> tuple[Note, ...]:
        """What keeps a repair from leaving behind what may have run there.

        Args:
            proof: for all of the scripts' revisions.
            not_run: revisions that may have run, and that a person says did not.
        """
        seen = self._of(database, proof)
        if seen is None or not seen.is_ahead or seen.never_ran or seen.remade:
            return ()
        if seen.unproved and set(seen.unproved) <= set(not_run):
            return ()
        return (findings.note(seen.ahead),)

    def told(self, part: DatabaseReport, proof: Proof | None = None) -> DatabaseReport:
        """Add what was found to the report; `proof` is for all of the scripts' revisions, if it is known."""
        seen = self._of(part.database, proof)
        if seen is None:
            return part
        refused = {note.code for note in part.refusals}
        more = tuple(note for note in notes(seen) if note.code not in refused)
        refusals = tuple(_with_way_out(note, seen) for note in part.refusals)
        return replace(part, refusals=refusals, findings=(*part.findings, *more), lost=seen.search)

    def diagnosed(self, part: DatabaseReport) -> DatabaseReport:
        """Add what was found, and what to do about it, to a report of ``diagnose``."""
        seen = self._of(part.database)
        if seen is None:
            return part
        return replace(self.told(part), revisions=seen.revisions, recommendation=self._advice(part, seen))

    def _of(self, database: Database, proof: Proof | None = None) -> Seen | None:
        key = database.identity.rows_key
        seen, proof = self.seen.get(key), proof or self.proofs.get(key)
        return seen.knowing(proof.revisions) if seen and proof else seen

    def _advice(self, part: DatabaseReport, seen: Seen) -> Recommendation:
        unexplained = tuple(note.message for note in part.refusals if note.code == errors.UnknownCurrent.code)
        if not unexplained or not part.recommendation.reason.startswith(unexplained):  # something else comes first
            return part.recommendation
        first = notes(seen)[0]
        if proof := self.proofs.get(part.database.identity.rows_key):
            besides = self.hindrances(part.database, proof)
            mended = repairing.plan_one(self.project, self.view.graph, part.database, proof, Acceptance(), besides)
            if mended.stamps and not mended.refusals:
                says = f"{_in_short(seen)}; the schema is at {errors.rows(mended.heads_after)} (proved)"
                return Recommendation(Action.REPAIR, None, f"{says}; to set it: `alembic-rescue repair`")
            if mended.recommendation.action is Action.COMPLETE and not besides:
                return mended.recommendation
            if mended.refusals and (seen.never_ran or seen.remade or not seen.is_ahead):
                return Recommendation(Action.STOP, None, f"{_in_short(seen)}; {mended.refusals[0].message}")
        if seen.is_ahead:
            return Recommendation(Action.STOP, None, _in_short(seen), choices=_ways_out(seen))
        return Recommendation(Action.STOP, None, f"{_in_short(seen)}. {sentence(first.help)}")


def _in_short(seen: Seen) -> str:
    """The problem in one sentence; the finding has the details."""
    rows = errors.listed(seen.search.sought)
    if seen.remade:
        return f"{rows} was recreated as {errors.listed(seen.remade)}"
    if seen.is_ahead and seen.never_ran:
        return f"{rows} did not run here and is not in these scripts"
    if seen.is_ahead:
        return f"the database is ahead of this code: {rows} is in git, and {_effects(seen.evidence)}"
    if not seen.search.found:
        return f"the database is at {rows}, which is not in these scripts and was not found elsewhere"
    return notes(seen)[0].message


def _ways_out(seen: Seen) -> tuple[Choice, ...]:
    """What to do about code that was rolled back, or belongs to another branch."""
    back = str(seen.search.command)
    heads = ("alembic upgrade heads",) if seen.beside else ()
    ways = [Choice("you want to keep it, and that code will not be deployed again: restore its files", (back, *heads))]
    if len(seen.follows) == 1 and not seen.unproved:
        down, files = f"alembic downgrade {seen.follows[0]}", back.partition(" -- ")[2]
        away = (f"git rm --quiet --force -- {files}",) if files and "&&" not in back else ()
        ways.append(
            Choice(
                "you want to revert it in the database, with everything it created and the rows in it",
                (back, down, *away),
            )
        )
    if seen.unproved:
        not_run = "".join(f" --not-run {one}" for one in seen.unproved)
        ways.append(Choice("it did not run here", (f"alembic-rescue repair{not_run}",)))
    return tuple(ways)


def _with_way_out(note: Note, seen: Seen) -> Note:
    """The refusal of an unknown row, with where to find the row's revision."""
    if note.code != errors.UnknownCurrent.code or not seen.search.found:
        return note
    return replace(note, help=notes(seen)[0].help)


def look_further(project: Project, view: View) -> Sought:
    """As :func:`look_for`, and locate the schemas for which something found may lead to a solution.

    Raises:
        RescueError: as :func:`look_for`.
    """
    sought = look_for(project, view)
    in_question = {key for key, one in sought.seen.items() if one.is_ahead or one.is_replaced}
    if not in_question:
        return sought

    def every(graph: RevisionMap, database: Database) -> tuple[str, ...]:
        return inspection.every(graph, database) if database.identity.rows_key in in_question else ()

    proofs = {one.visited.database.identity.rows_key: one.proof for one in prove(project, view, every)}
    return replace(sought, proofs={key: proofs[key] for key in in_question})
