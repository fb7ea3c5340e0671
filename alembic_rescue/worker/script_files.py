"""Read the revisions of a script directory from their files, without running them.

A revision file is code, and Alembic runs all of them to build the graph.  This module parses them instead: ids,
down revisions and labels are literals in nearly all of them.  It returns the paths of those that must be run (computed
ids, bytecode).
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from alembic.script.revision import RevisionMap
from alembic.util import coerce_resource_to_filename

from alembic_rescue import compat
from alembic_rescue.worker.requests import ScriptFile

_ALEMBICS = ScriptDirectory.from_config
_NAMES = ("revision", "down_revision", "depends_on", "branch_labels")
_ASSIGNED = re.compile(rf"^({'|'.join(_NAMES)})\s*(?::[^=\n]*)?=(?!=)[ \t]*(.*)$", re.MULTILINE)
_MENTIONED = re.compile(rf"\b({'|'.join(_NAMES)})\s*(?::[^=\n]*)?=(?!=)")
_DOCSTRING = re.compile(r'\A(?:\s|#[^\n]*\n)*[rR]?("""|\'\'\')((?:(?!\\).)*?)\1', re.DOTALL)
_OF_THE_DATABASE = re.compile(
    r"current_database|current_catalog|\bDATABASE\(|\.url\.database|catalog_name|table_catalog", re.IGNORECASE
)
_IS_REVISION = re.compile(r"(?!\.\#|__init__)(.*\.pyc?)$")
"""Same as in Alembic 1.9 to 1.20: ``Script._list_py_dir``."""


def read(script: ScriptDirectory) -> tuple[tuple[ScriptFile, ...], tuple[Path, ...]]:
    """Return the revisions of a script directory, and the files that must be run to know theirs."""
    told, unreadable = [], []
    for path in paths(script):
        found = _read(path) if path.suffix == ".py" else None
        if found is None:
            unreadable.append(path)
        else:
            told.append(found)
    return tuple(told), tuple(unreadable)


def paths(script: ScriptDirectory) -> list[Path]:
    """Return the files that Alembic would load, without duplicates."""
    found: dict[Path, None] = {}
    for folder in folders(script):
        inner = "**/" if compat.is_recursive(script) else ""
        endings = ("*.py", "*.pyc") if script.sourceless else ("*.py",)
        files = (file for ending in endings for file in sorted(folder.glob(f"{inner}{ending}")))
        found.update({file.resolve(): None for file in files if _IS_REVISION.match(file.name)})
        if script.sourceless:
            compiled = sorted(folder.glob(f"{inner}__pycache__/*.pyc"))
            known = {file.stem for file in found}
            found.update({f.resolve(): None for f in compiled if f.name.split(".")[0] not in known})
    return list(found)


def folders(script: ScriptDirectory) -> list[Path]:
    """Return the version locations, without duplicates."""
    places = script.version_locations or [str(Path(script.dir) / "versions")]
    return list({Path(coerce_resource_to_filename(place)).absolute(): None for place in places})


def run_none(script: ScriptDirectory, known: Callable[[], Iterable[ScriptFile]]) -> None:
    """Make `script`, and each script directory that env.py creates, load its revisions without running a file.

    Args:
        known: returns the revisions whose files had to be run, in another process.
    """

    def revisions(directory: ScriptDirectory) -> Iterator[Script]:
        for file in (*read(directory)[0], *known()):
            yield Script(_module(file), file.revision, str(file.path))

    made = ScriptDirectory.from_config

    def from_config(config: Config) -> ScriptDirectory:
        directory = made(config)
        directory.revision_map = RevisionMap(lambda: revisions(directory))
        return directory

    script.revision_map = RevisionMap(lambda: revisions(script))
    ScriptDirectory.from_config = staticmethod(from_config)  # type: ignore[method-assign]


@contextmanager
def run_again() -> Iterator[None]:
    """In the block, suspend :func:`run_none`: each script directory runs the files of its revisions."""
    reading = ScriptDirectory.from_config
    ScriptDirectory.from_config = staticmethod(_ALEMBICS)  # type: ignore[method-assign]
    try:
        yield
    finally:
        ScriptDirectory.from_config = staticmethod(reading)  # type: ignore[method-assign]


def told_by(names: Mapping[str, Any], path: Path) -> ScriptFile:
    """Return the revision of a file that was run, from the names of its module."""
    told = {name: _plain(names.get(name)) for name in _NAMES}
    doc = _first(str(names.get("__doc__") or ""))
    return ScriptFile(
        **told, doc=doc, path=path, content=content_of(path.read_bytes()), asks_for_the_database=path.suffix != ".py"
    )


def asks_for_the_database(text: str) -> bool:
    """Whether a file's text refers to the name of the database that it runs on."""
    return _OF_THE_DATABASE.search(text) is not None


def content_of(data: bytes) -> str:
    """Return the digest of a file's content."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _module(file: ScriptFile) -> ModuleType:
    module = ModuleType(f"revision_{file.revision}", file.doc)
    for name in _NAMES:
        setattr(module, name, getattr(file, name))
    return module


def _read(path: Path) -> ScriptFile | None:
    state = path.stat()
    return _read_once(path, state.st_mtime_ns, state.st_size)


@cache
def _read_once(path: Path, _written: int, _size: int) -> ScriptFile | None:
    """Cached, because a stamp reads the files several times."""
    return told_by_text(path.read_bytes(), path)


def told_by_text(data: bytes, path: Path) -> ScriptFile | None:
    """Return the revision of a file from its text alone; None if the file must be run, or is not a revision."""
    try:
        text = data.decode("utf-8")
        values, doc = _at_a_glance(text) or _parsed(text)
        told = {name: _plain(values.get(name)) for name in _NAMES}
    except (ValueError, SyntaxError, RecursionError, LookupError):
        return None
    if not isinstance(told["revision"], str):
        return None
    return ScriptFile(
        **told,
        doc=_first(doc),
        path=path,
        content=content_of(data),
        asks_for_the_database=asks_for_the_database(text),
    )


def _at_a_glance(text: str) -> tuple[dict[str, Any], str] | None:
    """Parse lines such as ``down_revision = "1a2b"``, as written by the template; None for anything less simple."""
    docstring = _DOCSTRING.match(text)
    rest = text[docstring.end() :] if docstring else text
    assigned = _ASSIGNED.findall(rest)
    if len(_MENTIONED.findall(rest)) != len(assigned) or len({name for name, _ in assigned}) != len(assigned):
        return None
    if not docstring and rest.lstrip()[:1] in {'"', "'"}:
        return None
    try:
        found = {name: ast.literal_eval(value) for name, value in assigned}
    except (ValueError, SyntaxError):
        return None
    return (found, docstring[2] if docstring else "") if "revision" in found else None


def _parsed(text: str) -> tuple[dict[str, Any], str]:
    """Read literals, and names of literals, from the syntax tree.  Raises if a value is anything else."""
    tree = ast.parse(text)
    known: dict[str, Any] = {}
    for statement in tree.body:
        for name, value in _assignments(statement):
            if isinstance(value, ast.Name) and value.id in known:
                known[name] = known[value.id]
            elif name in _NAMES:
                known[name] = ast.literal_eval(value)
            elif isinstance(value, ast.Constant):
                known[name] = value.value
    plainly = sum(name in _NAMES for statement in tree.body for name, _ in _assignments(statement))
    anywhere = sum(
        isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in _NAMES
        for node in _outside_of_functions(tree)
    )
    if plainly != anywhere:
        raise ValueError("an id is set in a branch")
    return known, ast.get_docstring(tree, clean=False) or ""


def _outside_of_functions(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            yield child
            yield from _outside_of_functions(child)


def _assignments(statement: ast.stmt) -> list[tuple[str, ast.expr]]:
    if isinstance(statement, ast.Assign):
        pairs = (pair for target in statement.targets for pair in _pairs(target, statement.value))
        return [(target.id, value) for target, value in pairs if isinstance(target, ast.Name)]
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value is not None:
        return [(statement.target.id, statement.value)]
    return []


def _pairs(target: ast.expr, value: ast.expr) -> list[tuple[ast.expr, ast.expr]]:
    """Split ``revision, down_revision = "b2", "a1"`` into two assignments."""
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        return list(zip(target.elts, value.elts, strict=True))
    return [(target, value)]


def _plain(value: Any) -> Any:
    """Return a string, a tuple of strings, or None; Alembic accepts any collection."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (tuple, list, set, frozenset)) and all(isinstance(one, str) for one in value):
        return tuple(value)
    raise ValueError(f"{value!r} is no revision")


def _first(doc: str) -> str:
    """Return the first paragraph, same as ``Script.doc``."""
    return doc.strip().split("\n\n")[0]
