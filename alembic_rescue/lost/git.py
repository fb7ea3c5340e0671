"""Read a git repository, and nothing else: no prompt, no pager, no program of the project, no write, no network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_SETTINGS = {
    "core.fsmonitor": "false",  # would start a program
    "core.hooksPath": os.devnull,
    "core.pager": "cat",
    "log.showSignature": "false",  # would start gpg
    "log.showRoot": "true",
    "protocol.allow": "never",  # a partial clone would otherwise fetch, and write, what it lacks
}
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_PAGER": "cat",
    "LC_ALL": "C",
}
_OF_A_HOOK = frozenset(
    [
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_PREFIX",
        "GIT_COMMON_DIR",
        "GIT_NAMESPACE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_GRAFT_FILE",
        "GIT_SHALLOW_FILE",
        "GIT_EXTERNAL_DIFF",
        "GIT_LITERAL_PATHSPECS",
        "GIT_GLOB_PATHSPECS",
        "GIT_ICASE_PATHSPECS",
        "LANGUAGE",
    ]
)
"""Set inside a hook or by an alias, these would lead to that repository, whatever folder is asked about."""
_HEADER = re.compile(rb"([0-9a-f]{40,64}) (\d{4}-\d\d-\d\d)\S*")
_RAW = re.compile(rb":\d+ \d+ [0-9a-f]+ ([0-9a-f]+) [A-Z]")
_AT_ONCE = 1000
NOT_FETCHED = "what a partial clone has not fetched (use a full clone)"


class CannotRead(Exception):  # noqa: N818 - told, not raised any further
    """Why git has nothing to offer, worded for a list."""


@dataclass(frozen=True)
class Change:
    """One file as one commit wrote it."""

    commit: str
    date: str
    blob: str
    path: str
    """From the repository's top."""


@dataclass(frozen=True)
class Repository:
    """The repository of a folder.  An instance exists only if git can read it."""

    top: Path
    program: str
    until: float
    """On the ``time.monotonic`` clock: what takes longer is ended."""

    def run(self, *arguments: str, given: bytes | None = None, fails: bool = False) -> bytes:
        """Return git's output.

        Args:
            given: its standard input.
            fails: an exit status other than 0 is allowed.

        Raises:
            CannotRead: it failed, or the time is up.
        """
        return _run(self.program, self.top, self.until, arguments, given, fails=fails)

    def text(self, *arguments: str) -> str:
        """Return git's output as text; empty if it fails."""
        try:
            return os.fsdecode(self.run(*arguments)).strip()
        except CannotRead:
            return ""

    @property
    def is_shallow(self) -> bool:
        """Whether its history is cut off."""
        return self.text("rev-parse", "--is-shallow-repository") == "true"

    @property
    def is_partial(self) -> bool:
        """Whether some file contents have not been fetched yet."""
        return bool(self.text("config", "--get-regexp", r"^(extensions\.partialclone|remote\..*\.promisor)$"))

    def changes(self, pathspecs: Iterable[str], *more: str) -> list[Change]:
        """Return what all commits wrote that a branch, remote branch, tag, the stash or the reflog leads to."""
        everywhere = ("--all", "--reflog", "--full-history", "--date-order", *more)
        return list(_changes(self.run("log", *everywhere, *_RAW_FORMAT, "--", *pathspecs)))

    def changes_of(self, commits: Sequence[str], pathspecs: Iterable[str]) -> list[Change]:
        """Return what these commits wrote."""
        given = "".join(f"{commit}\n" for commit in commits).encode()
        return list(
            _changes(
                self.run("diff-tree", "--stdin", "-r", "-m", "--root", *_RAW_FORMAT, "--", *pathspecs, given=given)
            )
        )

    def unreachable(self) -> tuple[list[str], list[str]]:
        """Return the commits and file contents that nothing leads to any more."""
        told = self.run("fsck", "--unreachable", "--no-progress", "--connectivity-only", fails=True).decode(
            "ascii", "replace"
        )
        kinds: dict[str, list[str]] = {"commit": [], "blob": []}
        for kind, name in re.findall(r"^unreachable (commit|blob) ([0-9a-f]+)$", told, re.MULTILINE):
            kinds[kind].append(name)
        return kinds["commit"], kinds["blob"]

    def tree(self, commit: str, folders: Iterable[str]) -> dict[str, str]:
        """Return the files of a commit in these folders: path and blob."""
        listed = self.run("ls-tree", "-r", "-z", "--full-tree", commit, "--", *folders)
        found = {}
        for entry in listed.split(b"\0"):
            about, _, path = entry.partition(b"\t")
            if b" blob " in about:
                found[os.fsdecode(path)] = about.split()[2].decode()
        return found

    def contents(self, blobs: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Yield each blob with its contents; a blob that is missing here is left out."""
        wanted = list(dict.fromkeys(blobs))
        for start in range(0, len(wanted), _AT_ONCE):
            given = "".join(f"{blob}\n" for blob in wanted[start : start + _AT_ONCE]).encode()
            answer, at = self.run("cat-file", "--batch", given=given), 0
            while at < len(answer):
                end = answer.index(b"\n", at)
                name, *about = answer[at:end].split()
                at = end + 1
                if len(about) == 2:  # noqa: PLR2004 - kind and size; one that is missing has no size
                    size = int(about[1])
                    yield name.decode(), answer[at : at + size]
                    at += size + 1

    def nearest(self, commit: str) -> tuple[int, str]:
        """Return the distance of what leads to a commit (the branch checked out is 0), and its name for a sentence."""
        refs = self.text("for-each-ref", "--sort=-committerdate", "--format=%(refname)", f"--contains={commit}")
        names = [name for name in refs.splitlines() if not name.endswith("/HEAD")]
        head = self.text("symbolic-ref", "--quiet", "HEAD")
        if head in names:
            return 0, f"the history of {_short(head)}, which is checked out"
        if not head and self.text("merge-base", commit, "HEAD") == commit:
            return 0, "the history of what is checked out"
        for rank, (start, kind) in enumerate(_KINDS.items(), 1):
            if found := next((name for name in names if name.startswith(start)), None):
                return rank, f"{kind} {_short(found)}".strip()
        return len(_KINDS) + 1, "no branch has it anymore, only the reflog"


_RAW_FORMAT = (
    "--raw",
    "-z",
    "--no-abbrev",
    "--no-renames",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--format=%H %cI",
)
_KINDS = {
    "refs/heads/": "branch",
    "refs/remotes/": "remote branch",
    "refs/tags/": "tag",
    "refs/stash": "the stash",
    "refs/": "ref",
}
"""What leads to a commit, the nearest first."""


def open_repository(folder: Path, until: float) -> Repository:
    """Return the repository that `folder`, or what remains of its path, belongs to.

    Args:
        folder: need not exist any more.
        until: on the ``time.monotonic`` clock.

    Raises:
        CannotRead: there is no repository, git is not installed, or git refuses it.
    """
    program = shutil.which("git")
    if program is None:
        raise CannotRead("git (not installed here)")
    there = next(one for one in (folder, *folder.parents) if one.is_dir())
    top = os.fsdecode(_run(program, there, until, ("rev-parse", "--show-toplevel"), None)).rstrip("\n")
    if not top:
        raise CannotRead(f"git (no working tree at {there})")
    return Repository(Path(top), program, until)


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for git: the caller's, without what leads elsewhere."""
    return {name: value for name, value in given.items() if name not in _OF_A_HOOK} | _ENVIRONMENT


def _run(
    program: str, folder: Path, until: float, arguments: Sequence[str], given: bytes | None, *, fails: bool = False
) -> bytes:
    settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
    left = until - time.monotonic()
    if left <= 0:
        raise CannotRead(_TOO_LONG)
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and no option comes from a version table
            [program, "--no-pager", *settings, *arguments],
            cwd=folder,
            env=environment(os.environ),
            input=given if given is not None else b"",
            capture_output=True,
            timeout=left,
            start_new_session=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CannotRead(_TOO_LONG) from None
    except OSError as error:
        raise CannotRead(f"git (it cannot be started: {error.strerror})") from error
    if done.returncode and not fails:
        raise CannotRead(_why(done.stderr.decode("utf-8", "replace"), folder))
    return done.stdout


_TOO_LONG = "the rest of git's history (it takes too long)"


def _why(said: str, folder: Path) -> str:
    if "dubious ownership" in said or "unsafe repository" in said:
        return (
            "git (it refuses a repository owned by another user; if you trust it, run `git config --global "
            f"--add safe.directory {folder}`)"
        )
    if "not a git repository" in said:
        return "git (this is not a git repository)"
    if "promisor" in said or ("transport" in said and "not allowed" in said):
        return NOT_FETCHED
    first = next((line for line in said.splitlines() if line.strip()), "it failed")
    return f"git ({first.strip().removeprefix('fatal: ')})"


def _changes(told: bytes) -> Iterator[Change]:
    commit = date = ""
    tokens = iter(told.split(b"\0"))
    for token in tokens:
        if header := _HEADER.fullmatch(token.strip()):
            commit, date = header[1].decode(), header[2].decode()
        elif entry := _RAW.fullmatch(token.strip()):
            path = os.fsdecode(next(tokens, b""))
            if entry[1].strip(b"0"):  # otherwise it was removed
                yield Change(commit, date, entry[1].decode(), path)


def _short(ref: str) -> str:
    return re.sub(r"^refs/(?:heads/|remotes/|tags/|stash$)?", "", ref)
