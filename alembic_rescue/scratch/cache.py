"""Cache what revisions do, keyed by the content of everything that it depends on.

Each revision has one small JSON file, named after a digest of its own file and of all before it.  So an entry is never
out of date: any change gives another name.  An entry that is broken or cannot be trusted is treated as missing.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import platformdirs

from alembic_rescue.evidence.observation import Observation, Unobserved
from alembic_rescue.worker import sources, values
from alembic_rescue.worker.requests import ScriptFile

if TYPE_CHECKING:
    from alembic_rescue.client import Project

_ROOT = "<root>/"
"""Stands for the project's folder."""
_RECOVERED = "<recovered>/"
"""Stands for the folder of files recovered from git."""
_BLOCK = 4096
"""Smallest size of a file on disk, in bytes."""


def default_folder() -> Path:
    """Return ``$XDG_CACHE_HOME/alembic-rescue``, or the platform's user cache folder."""
    if folder := os.environ.get("XDG_CACHE_HOME"):
        return Path(folder) / "alembic-rescue"
    return platformdirs.user_cache_path("alembic-rescue", appauthor=False)


def _never_changes(text: str) -> str:
    return text


@dataclass(frozen=True)
class Cache:
    """The user's cache of observations."""

    folder: Path = field(default_factory=default_folder)
    limit: int = 200 * 1024 * 1024
    """Size limit in bytes; above it, the least recently used files are removed."""
    root: str = field(default_factory=os.getcwd)
    """The project's folder: paths below it are stored relative, so that another checkout finds the same entries."""
    recovered: str = ""
    """The folder of revisions recovered from git, which differs each time: paths are relative, as with `root`."""
    hide: Callable[[str], str] = _never_changes
    """Removes known secrets from a text.  If it changes an observation, that holds a secret and is not stored."""

    @classmethod
    def of(cls, project: Project) -> Cache:
        """Return the cache for a project."""
        folders = project.named.recovered
        return cls(hide=project.secrets.hide_known, recovered=str(Path(folders[0]).parent) if folders else "")

    def keys(self, basis: Mapping[str, Any], scripts: Sequence[ScriptFile]) -> tuple[str, ...]:
        """Return a key for each of `scripts`, from the content of its file and of all that ran before it.

        Args:
            basis: what else the outcome depends on, as JSON values: env.py, settings, the server's major version, the
                version tables, schemas, roles, installed packages, the environment.
            scripts: the whole chain from empty, in the order in which it runs.
        """
        basis_key = _basis_key(basis)
        others = {self._relative(path): path for path in self._others(basis_key)}
        key = sources.digest([basis_key, sources.of_files(others)])
        keys = []
        for script in scripts:
            key = sources.digest([key, script.revision, self._relative(str(script.path)), script.content])
            keys.append(key)
        return tuple(keys)

    def load(self, keys: Collection[str]) -> dict[str, Observation]:
        """Return the observations stored under `keys`, as far as there are any."""
        found = {}
        if self._is_ours():
            for key in keys:
                path = self._path(key)
                with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
                    observation = self._read(path)
                    if isinstance(observation, Observation):
                        found[key] = observation
                        os.utime(path)  # when it was last used
        return found

    def outcome(self, basis: Mapping[str, Any], scripts: Sequence[ScriptFile]) -> Any:
        """Return the stored outcome of one question, by the same keys as observations; None if there is none."""
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            if self._is_ours():
                path = self._path(self.keys(basis, scripts)[-1:][0])
                (outcome,) = self._read(path)
                os.utime(path)
                return outcome
        return None

    def keep_outcome(
        self, basis: Mapping[str, Any], scripts: Sequence[ScriptFile], outcome: Any, files: Collection[str]
    ) -> None:
        """Store the outcome unless it holds a known secret; `files` as in :meth:`store`."""
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True, mode=stat.S_IRWXU)
            content = values.encoded([outcome])
            text = json.dumps(content)
            if scripts and self._is_ours() and self.hide(text) == text:
                self._note_others(basis, scripts, files)
                self._write(self._path(self.keys(basis, scripts)[-1]), content, self._places)
                self._shorten()

    def answer(self, key: str) -> tuple[bool, bool | None]:
        """Return whether an answer is stored under `key`, and that answer of the server."""
        if self._is_ours():
            with suppress(OSError, ValueError, TypeError):
                (answer,) = json.loads(self._path(key).read_bytes())
                return True, answer if answer is None else bool(answer)
        return False, None

    def keep_answer(self, key: str, answer: bool | None) -> None:  # noqa: FBT001 - it is the value
        """Store a server's answer."""
        with suppress(OSError):
            if self._is_ours():
                self._write(self._path(key), [answer])

    def store(
        self,
        basis: Mapping[str, Any],
        scripts: Sequence[ScriptFile],
        observations: Sequence[Observation | Unobserved],
        files: Collection[str] = (),
    ) -> None:
        """Store observations, up to the first that could differ in another run.

        That is the first revision that was not observed, failed, or tried to reach outside.  Neither it nor any after
        it is stored.

        Args:
            basis: as in :meth:`keys`.
            scripts: as in :meth:`keys`; none of those before the first of `observations` failed.
            observations: those of the last of `scripts`, in the same order.
            files: the other files that the run read: project modules, SQL (see :mod:`.sources`).
        """
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True, mode=stat.S_IRWXU)
            if not self._is_ours():
                return
            self._note_others(basis, scripts, files)
            keys = self.keys(basis, scripts)[len(scripts) - len(observations) :]
            for key, observation in zip(keys, observations, strict=True):
                if not isinstance(observation, Observation) or observation.failure or observation.outside:
                    break
                content = values.encoded(observation)
                text = json.dumps(content)
                if self.hide(text) == text:
                    self._write(self._path(key), content, self._places)
            self._shorten()

    def _note_others(self, basis: Mapping[str, Any], scripts: Sequence[ScriptFile], files: Collection[str]) -> None:
        basis_key = _basis_key(basis)
        others = set(self._others(basis_key)) | set(files) - {str(script.path) for script in scripts}
        self._write(self._path(basis_key), sorted(map(self._relative, others)))

    def _others(self, basis_key: str) -> Sequence[str]:
        """Return the other files that earlier runs on this basis read."""
        with suppress(OSError, ValueError, TypeError):
            if self._is_ours():
                path = self._path(basis_key)
                listed = json.loads(path.read_bytes())
                os.utime(path)  # evicted last: nothing is found without it
                return [str(other).replace(_ROOT, f"{self.root}{os.sep}") for other in listed]
        return ()

    @property
    def _places(self) -> dict[str, str]:
        """The marks that replace the start of paths in stored JSON, and those starts, escaped as in JSON."""
        folders = {_RECOVERED: self.recovered, _ROOT: self.root}
        return {mark: json.dumps(f"{folder}{os.sep}")[1:-1] for mark, folder in folders.items() if folder}

    def _relative(self, path: str) -> str:
        for mark, folder in ((_RECOVERED, self.recovered), (_ROOT, self.root)):
            if folder and path.startswith(below := f"{folder}{os.sep}"):
                return mark + path[len(below) :]
        return path

    def _read(self, path: Path) -> Any:
        text = path.read_text("utf-8")
        for mark, below in self._places.items():
            text = text.replace(mark, below)
        return values.decoded(json.loads(text))

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key[2:]}.json"

    def _is_ours(self) -> bool:
        """Whether nobody else can write to the folder: verdicts depend on its content."""
        with suppress(OSError):
            about = self.folder.stat()
            mine = not hasattr(os, "getuid") or about.st_uid == os.getuid()
            return mine and not about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        return False

    @staticmethod
    def _write(path: Path, content: Any, places: Mapping[str, str] = MappingProxyType({})) -> None:
        """Write atomically: to a temporary file next to it, then rename."""
        text = json.dumps(content, separators=(",", ":"))
        for mark, below in places.items():
            text = text.replace(below, mark)
        path.parent.mkdir(parents=True, exist_ok=True, mode=stat.S_IRWXU)
        beside = path.with_suffix(f".{secrets.token_hex(4)}")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise

    def _shorten(self) -> None:
        """Remove the least recently used files down to nine tenths of the limit, if the limit is exceeded."""
        files = sorted(self._files())
        size = sum(blocks for _, blocks, _ in files)
        if size > self.limit:
            for _, blocks, path in files:
                path.unlink(missing_ok=True)
                size -= blocks
                if size <= self.limit * 0.9:
                    break

    def _files(self) -> Iterator[tuple[int, int, Path]]:
        """Yield the time of last use, the size on disk and the path of each file."""
        for path in self.folder.glob("*/*"):
            with suppress(OSError):
                about = path.stat()
                yield about.st_mtime_ns, -(-about.st_size // _BLOCK) * _BLOCK, path


def _basis_key(basis: Mapping[str, Any]) -> str:
    return sources.digest([json.dumps([_tool(), basis], sort_keys=True)])


@lru_cache(maxsize=1)
def _tool() -> list[Any]:
    """Return this tool's version and the state of its files, so that in development each change gives new keys."""
    files = sorted(Path(values.__file__).parents[1].rglob("*.py"))
    return [version("alembic-rescue"), *((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files)]
