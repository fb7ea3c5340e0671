"""What revisions do, kept by the content of everything that it depends on.

One small JSON file for each revision, named after a digest of its own file and of all before it.  So none is ever out
of date: what has changed has another name.  Whatever is broken, or not to be trusted, is as if it were not there.
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
"""Stands for the folder of what was found in git."""
_BLOCK = 4096
"""Bytes that a file takes at least."""


def default_folder() -> Path:
    """``$XDG_CACHE_HOME/alembic-rescue``, or the platform's own place for a user's cache."""
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
    """Bytes; above it those that were not used for longest are removed."""
    root: str = field(default_factory=os.getcwd)
    """The project's folder: files below it are told relative to it, so that another checkout finds the same."""
    recovered: str = ""
    """The folder of revisions that were found in git, another one each time: as with `root`."""
    hide: Callable[[str], str] = _never_changes
    """Takes known secrets out of a text.  An observation that it changes holds one, and is not kept."""

    @classmethod
    def of(cls, project: Project) -> Cache:
        """The one for a project."""
        folders = project.named.recovered
        return cls(hide=project.secrets.hide_known, recovered=str(Path(folders[0]).parent) if folders else "")

    def keys(self, basis: Mapping[str, Any], scripts: Sequence[ScriptFile]) -> tuple[str, ...]:
        """One key for each of `scripts`, of its file's content and of all that ran before it.

        Args:
            basis: what else the outcome depends on, as JSON has it: env.py, settings, the server's major version, the
                version tables, schemas, roles, what is installed, the environment.
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
        """What is kept under those of `keys` under which something is."""
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
        """What is kept of one question, by the same keys as the observations; None where nothing is."""
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
        """Keep it, unless it holds a secret that is known; `files` as in :meth:`store`."""
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True, mode=stat.S_IRWXU)
            content = values.encoded([outcome])
            text = json.dumps(content)
            if scripts and self._is_ours() and self.hide(text) == text:
                self._note_others(basis, scripts, files)
                self._write(self._path(self.keys(basis, scripts)[-1]), content, self._places)
                self._shorten()

    def answer(self, key: str) -> tuple[bool, bool | None]:
        """Whether something is kept under `key`, and the server's answer that is."""
        if self._is_ours():
            with suppress(OSError, ValueError, TypeError):
                (answer,) = json.loads(self._path(key).read_bytes())
                return True, answer if answer is None else bool(answer)
        return False, None

    def keep_answer(self, key: str, answer: bool | None) -> None:  # noqa: FBT001 - it is the value
        """Keep a server's answer."""
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
        """Keep what was observed, up to the first that another run might see otherwise.

        That one, and all that ran after it, are not kept: it was not observed, it failed, or it asked for something
        outside.

        Args:
            basis: as in :meth:`keys`.
            scripts: as in :meth:`keys`; none of those before the first of `observations` failed.
            observations: of the last of `scripts`, in their order.
            files: the other files that the run read: modules of the project, SQL (see :mod:`.sources`).
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
        """The other files that earlier runs on this basis read."""
        with suppress(OSError, ValueError, TypeError):
            if self._is_ours():
                path = self._path(basis_key)
                listed = json.loads(path.read_bytes())
                os.utime(path)  # it goes last: without it nothing is found
                return [str(other).replace(_ROOT, f"{self.root}{os.sep}") for other in listed]
        return ()

    @property
    def _places(self) -> dict[str, str]:
        """What stands in JSON for the beginnings of paths, and those, as JSON has them."""
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
        """Nobody else may put anything into the folder: a verdict rests on it."""
        with suppress(OSError):
            about = self.folder.stat()
            mine = not hasattr(os, "getuid") or about.st_uid == os.getuid()
            return mine and not about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        return False

    @staticmethod
    def _write(path: Path, content: Any, places: Mapping[str, str] = MappingProxyType({})) -> None:
        """Whole or not at all: to a file beside it, then renamed."""
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
        """Remove what was not used for longest, down to nine tenths of the limit, once it is exceeded."""
        files = sorted(self._files())
        size = sum(blocks for _, blocks, _ in files)
        if size > self.limit:
            for _, blocks, path in files:
                path.unlink(missing_ok=True)
                size -= blocks
                if size <= self.limit * 0.9:
                    break

    def _files(self) -> Iterator[tuple[int, int, Path]]:
        """When it was last used, its size on disk, and where it is, for each file."""
        for path in self.folder.glob("*/*"):
            with suppress(OSError):
                about = path.stat()
                yield about.st_mtime_ns, -(-about.st_size // _BLOCK) * _BLOCK, path


def _basis_key(basis: Mapping[str, Any]) -> str:
    return sources.digest([json.dumps([_tool(), basis], sort_keys=True)])


@lru_cache(maxsize=1)
def _tool() -> list[Any]:
    """This tool's version; where it is worked on, it is another one with each change of its files."""
    files = sorted(Path(values.__file__).parents[1].rglob("*.py"))
    return [version("alembic-rescue"), *((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files)]
