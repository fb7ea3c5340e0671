"""The revisions at a branch, tag or commit of git, and how they have changed since."""

from __future__ import annotations

import ast
import os
import re
import shlex
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from alembic_rescue import errors
from alembic_rescue.connection.failures import shown
from alembic_rescue.lost.git import CannotRead, Repository, open_repository
from alembic_rescue.model import Note
from alembic_rescue.worker import script_files
from alembic_rescue.worker.requests import ScriptFile

SECONDS = 20.0
"""Time limit for all calls of git together."""
_ORIGIN = "origin/"
_IN_ACTIONS = "In GitHub Actions, actions/checkout needs fetch-depth: 0"
_PLAIN = re.compile(r"^git \((.*)\)$")
"""Git's trouble as a list has it."""


@dataclass(frozen=True)
class Old:
    """One revision as it was then."""

    file: ScriptFile
    text: bytes


@dataclass(frozen=True)
class Before:
    """The revisions at a point in git."""

    reference: str
    commit: str
    """The merge base of ``HEAD`` and the reference."""
    revisions: Mapping[str, Old]
    """The revisions at `commit`."""
    newest: tuple[ScriptFile, ...]
    """The revisions at the reference itself, which may have moved on since `commit`."""


def read(folders: Sequence[Path], reference: str, seconds: float = SECONDS) -> Before:
    """Read the revisions that were in these folders.

    Raises:
        ReferenceNotRead: git cannot read the reference, or does not know where ``HEAD`` left it.
    """
    until = time.monotonic() + seconds
    commits: list[str] = []
    revisions: dict[str, Old] = {}
    newest: dict[str, ScriptFile] = {}
    trouble = errors.ReferenceNotRead(reference, "there is no folder with revisions")
    for folder in folders:
        try:
            repository = open_repository(folder, until)
            tip = _commit(repository, reference)
            commit = _merge_base(repository, tip, reference)
            revisions.update((old.file.revision, old) for old in _of(repository, commit, folder))
            newest.update((old.file.revision, old.file) for old in _of(repository, tip, folder))
            commits.append(commit)
        except CannotRead as error:  # one of several folders may belong to an installed package
            trouble = errors.ReferenceNotRead(reference, _PLAIN.sub(r"\1", str(error)))
        except errors.ReferenceNotRead as error:
            trouble = error
    if not commits:
        raise trouble
    return Before(reference, commits[0], revisions, tuple(newest.values()))


def _commit(repository: Repository, reference: str) -> str:
    """Return the commit that a name resolves to.

    Raises:
        ReferenceNotRead: it names no commit.
    """
    found = repository.text("rev-parse", "--verify", "--quiet", "--end-of-options", f"{reference}^{{commit}}")
    found = found.replace("--end-of-options", "").strip()  # git before 2.30 prints it
    if not found:
        unknown = "it is not a branch, tag or commit of this repository"
        raise errors.ReferenceNotRead(reference, unknown, _fetching(repository, reference))
    return found


def _fetching(repository: Repository, reference: str) -> str:
    """How to get a reference that git does not have."""
    branch = reference.removeprefix(_ORIGIN)
    if branch == reference:
        return f"fetch it first, and name a remote branch as {_ORIGIN}main. {_IN_ACTIONS}"
    whole = " --unshallow" if repository.is_shallow else ""
    refspec = shlex.quote(f"{branch}:refs/remotes/{reference}")  # a clone of one branch would not keep it otherwise
    return f"fetch it first: {errors.code(f'git fetch{whole} origin {refspec}')}. {_IN_ACTIONS}"


def _merge_base(repository: Repository, tip: str, reference: str) -> str:
    """Return the commit at which ``HEAD`` left the reference.

    Raises:
        ReferenceNotRead: there is none here.  Without it, what is new there looks deleted here.
    """
    found = os.fsdecode(repository.run("merge-base", "HEAD", tip, fails=True)).strip()
    if found:
        return found
    if repository.is_shallow:
        cut = f"this clone is shallow, without the commit at which HEAD left {reference}"
        whole = f"fetch the rest first: {errors.code('git fetch --unshallow')}. {_IN_ACTIONS}"
        raise errors.ReferenceNotRead(reference, cut, whole)
    apart = f"HEAD and {reference} have no commit in common"
    raise errors.ReferenceNotRead(reference, apart, "name the branch, tag or commit that this branch was made from")


def _of(repository: Repository, commit: str, folder: Path) -> Iterator[Old]:
    top = Path(os.path.realpath(repository.top))
    inside = os.path.relpath(os.path.realpath(folder), top)
    paths: dict[str, list[str]] = {}
    for path, blob in repository.tree(commit, [inside]).items():
        if path.endswith(".py"):
            paths.setdefault(blob, []).append(path)
    for blob, text in repository.contents(paths):
        for path in paths[blob]:
            file = script_files.told_by_text(text, top / path)
            if file is not None:
                yield Old(file, text)


def changed(before: Before, now: Sequence[ScriptFile]) -> Iterator[Note]:
    """Yield a finding for each deleted or changed revision, which a database may have run already."""
    there = {file.revision: file for file in now}
    for revision, old in sorted(before.revisions.items()):
        file = there.get(revision)
        if file is None:
            yield Note(
                "revision-deleted",
                f"{revision} ({shown(old.file.path)}) is in {before.reference}, but no longer in the scripts",
                "a database that has run it can no longer be upgraded. Restore the file: "
                + errors.code(f"git checkout {before.commit[:12]} -- {shown(old.file.path)}"),
            )
        elif file.content != old.file.content and not _runs_alike(old.text, file.path.read_bytes()):
            yield Note(
                "revision-changed",
                f"{revision} ({shown(file.path)}) has changed since {before.reference}",
                "a database that has run it will not run it again. Undo the change, and put it in a new revision",
            )


def _runs_alike(old: bytes, new: bytes) -> bool:
    """Return whether both texts upgrade alike: comments, docstrings, annotations, imports and downgrades may differ."""
    try:
        return _upgrading(old) == _upgrading(new)
    except (SyntaxError, ValueError, RecursionError):
        return False


def _upgrading(text: bytes) -> list[str]:
    body = ast.parse(text).body
    return [ast.dump(_bare(one)) for one in body if not _is_beside(one)]


def _is_beside(statement: ast.stmt) -> bool:
    """Return whether it is a docstring, an import or ``downgrade``."""
    if isinstance(statement, ast.FunctionDef):
        return statement.name == "downgrade"
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    return isinstance(statement, (ast.Import, ast.ImportFrom))


def _bare(statement: ast.stmt) -> ast.AST:
    return _Bare().visit(statement)  # type: ignore[no-any-return]


class _Bare(ast.NodeTransformer):
    """Removes what has no effect at run time."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is None:
            return ast.Pass()
        return ast.Assign(targets=[node.target], value=node.value)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        node.returns = None
        body = [one for one in node.body if not _is_docstring(one) and not isinstance(one, ast.Pass)]
        node.body = body or [ast.Pass()]
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def merged(before: Before, now: Sequence[ScriptFile]) -> tuple[ScriptFile, ...]:
    """Return the revisions as they will be once the branch is merged into the reference, which may have moved on."""
    known = {file.revision for file in now}
    gone = before.revisions.keys() - known
    return (*now, *_more(before.newest, known | gone))


def _more(files: Iterable[ScriptFile], known: set[str]) -> Iterator[ScriptFile]:
    return (file for file in files if file.revision not in known)
