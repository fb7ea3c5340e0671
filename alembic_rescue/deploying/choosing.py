"""Decide whether to build or to deploy the last build again, and say why."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path

from alembic_rescue import errors
from alembic_rescue.deploying.values import Choice, Deployment, Service, State, moment, short
from alembic_rescue.evidence.deployed import Mode
from alembic_rescue.lost.git import CannotRead, open_repository

SECONDS = 10.0
"""The time limit for git."""
_COMMIT = re.compile(r"[0-9a-f]{7,64}")


def choose(service: Service, recent: Sequence[Deployment], files: Sequence[Path], asked: Mode | None) -> Choice:
    """Choose what to request.

    Args:
        recent: the latest deployments, newest first.
        files: the folders and files on which migrations depend.
        asked: what the user requested.
    """
    built = last_built(recent)
    commit = built.commit if built else None
    changed: Sequence[str] | str = changed_since(commit, files) if commit and asked is None else ""
    return decided(service, recent, changed, asked)


def decided(service: Service, recent: Sequence[Deployment], changed: Sequence[str] | str, asked: Mode | None) -> Choice:
    """Choose, given git's answer.

    Args:
        changed: what has changed since the last build, or why that is unknown.
    """
    built = last_built(recent)
    last = built.committed if built and built.commit else "of an unknown commit"
    newest = f"the latest commit of {service.branch}" if service.branch else "the latest commit"
    ended = next((one for one in recent if one.ended), None)
    if asked is Mode.DEPLOY_ONLY:
        return Choice(asked, "as asked for", f"the last build, {last}")
    if asked is not None:
        return Choice(asked, "as asked for", newest)
    if ended is not None and ended.status == "build_failed":
        return Choice(Mode.BUILD, "the last build failed", newest)
    if built is None or built.commit is None:
        return Choice(Mode.BUILD, "the commit of the last build is unknown", newest)
    if isinstance(changed, str):
        reason = f"cannot tell whether a migration has changed since the last build, {short(built.commit)}: {changed}"
        return Choice(Mode.BUILD, reason, newest)
    if changed:
        reason = f"changed since the last build, {short(built.commit)}: {errors.some(changed, verb=False)}"
        return Choice(Mode.BUILD, reason, newest)
    reason = (
        f"only the version table was behind; the migrations are unchanged since the last build, {short(built.commit)}"
    )
    return Choice(Mode.DEPLOY_ONLY, reason, f"the last build, {last}")


def last_built(recent: Sequence[Deployment]) -> Deployment | None:
    """The newest deployment whose build succeeded."""
    return next((one for one in recent if one.built), None)


def newer(than: Deployment, recent: Sequence[Deployment]) -> Deployment | None:
    """The newest deployment, if it is newer than this one."""
    began = moment(than.created)
    later = [(one, moment(one.created)) for one in recent if one.id != than.id]
    after = [one for one, at in later if began and at and at > began]
    alive = [one for one in after if one.state is not State.CANCELED]
    return next(iter(alive or after), None)


def changed_since(commit: str, files: Sequence[Path]) -> list[str] | str:
    """Which of these files differ from a commit, each with remarks; or why that is unknown."""
    if not _COMMIT.fullmatch(commit):
        return f"{commit} is not a commit"
    try:
        repository = open_repository(files[0], time.monotonic() + SECONDS)
        paths = [str(path.resolve()) for path in files]
        repository.run("cat-file", "-e", f"{commit}^{{commit}}")
        differing = repository.run("diff", "--no-ext-diff", "--name-only", "-z", commit, "--", *paths)
        unknown = repository.run("ls-files", "--others", "--exclude-standard", "-z", "--", *paths)
        pending = repository.run("diff", "--no-ext-diff", "--name-only", "-z", "HEAD", "--", *paths)
    except CannotRead as reason:
        return f"the files cannot be compared with commit {commit}: {reason}"
    not_committed = {*_names(pending), *_names(unknown)}
    return [
        f"{name} (not committed, so a build does not include it)" if name in not_committed else name
        for name in sorted({*_names(differing), *_names(unknown)})
    ]


def _names(told: bytes) -> list[str]:
    return [name for name in told.decode("utf-8", "replace").split("\0") if name]
