"""Which lines of the project ran: the revision's own file, and what it calls below the project's folders."""

from __future__ import annotations

import ast
import inspect
import os
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import alembic_rescue

_OTHERS = ("site-packages", "dist-packages")
_STANDARD = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_CAN_PAUSE = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
_OURS = str(Path(alembic_rescue.__file__).parent)


class Files:
    """Tells the project's own files from those of packages.

    Args:
        scripts: the folders of env.py and of the revisions, which are the project's wherever they are.
        others: further folders of the project: the configuration's, the working directory.
    """

    def __init__(self, scripts: Sequence[Path], others: Sequence[Path]) -> None:
        self._scripts = tuple(_folder(path) for path in scripts) + tuple(
            _folder(package) for path in scripts if (package := _package_of(path)) is not None
        )
        self._others = tuple(_folder(path) for path in others)
        self._known: dict[str, bool] = {}

    def is_own(self, name: str) -> bool:
        """Whether the file of that name is the project's."""
        if name not in self._known:
            self._known[name] = not name.startswith("<") and self._is_own(absolute(name))  # code made of text
        return self._known[name]

    def _is_own(self, path: str) -> bool:
        if path.startswith(self._scripts):
            return True
        if path.startswith(_folder(Path(_OURS))) or not path.startswith(self._others):
            return False
        return not path.startswith(tuple(f"{folder}{os.sep}" for folder in _STANDARD)) and not any(
            part in _OTHERS for part in Path(path).parts
        )


def _folder(path: Path) -> str:
    return absolute(str(path)).rstrip(os.sep) + os.sep


def _package_of(path: Path) -> Path | None:
    """The installed package whose folder `path` is in: its helpers are the project's, too."""
    parts = Path(absolute(str(path))).parts
    at = next((at for at, part in enumerate(parts) if part in _OTHERS), None)
    return None if at is None or at + 1 >= len(parts) else Path(*parts[: at + 2])


@lru_cache(maxsize=4096)
def absolute(path: str) -> str:
    """Without following links, as Python's own file names are."""
    return os.path.abspath(path)  # noqa: PTH100


@dataclass
class Ran:
    """What ran of one file."""

    lines: set[int] = field(default_factory=set)
    codes: set[CodeType] = field(default_factory=set)
    """The functions that were entered."""
    names: dict[str, Any] = field(default_factory=dict)
    """What the names of its module stand for."""


class Trace:
    """Notes which lines of the project's files run.  Of this thread, and of those that are started meanwhile."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self.ran: dict[str, Ran] = {}
        """By the file, as Python names it."""

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Note them in the block."""
        self.ran = {}
        before = sys.gettrace()
        threading.settrace(self._call)
        sys.settrace(self._call)
        try:
            yield
        finally:
            sys.settrace(before)
            threading.settrace(before)

    def _call(self, frame: FrameType, event: str, _argument: Any) -> Any:
        code = frame.f_code
        if event != "call" or not self._files.is_own(code.co_filename):
            return None
        ran = self.ran.setdefault(code.co_filename, Ran(names=frame.f_globals))
        if frame.f_lineno != code.co_firstlineno and code.co_flags & _CAN_PAUSE and code not in ran.codes:
            return None  # it goes on, and began before: env.py's own coroutine
        ran.codes.add(code)
        lines = ran.lines

        def line(frame: FrameType, event: str, _argument: Any) -> Any:
            if event == "line":
                lines.add(frame.f_lineno)
            return line

        return line


# --- where a statement comes from ----------------------------------------------------------------------------------


Place = tuple[str, int]
"""A file and a line of it."""


def places(files: Files, until: Callable[[CodeType], bool]) -> list[Place]:
    """The project's lines on the stack, the innermost first, as far as the frame whose code `until` says."""
    found: list[Place] = []
    for frame in _frames():
        if until(frame.f_code):
            return found
        if files.is_own(frame.f_code.co_filename):
            found.append((absolute(frame.f_code.co_filename), frame.f_lineno))
    return found


def is_below(code: Callable[[CodeType], bool]) -> bool:
    """Whether the frame whose code `code` says is on the stack."""
    return any(code(frame.f_code) for frame in _frames())


def _frames() -> Iterator[FrameType]:
    """The stack, the innermost first."""
    for top in (sys._getframe(1), *_waiting()):  # noqa: SLF001 - as inspect.currentframe() does, which may be None
        frame: FrameType | None = top
        while frame is not None:
            yield frame
            frame = frame.f_back


def _waiting() -> Iterator[FrameType | None]:
    """The stacks of the greenlets that wait for this one: an async driver is called from a new one."""
    with suppress(ImportError):
        import greenlet  # noqa: PLC0415 - SQLAlchemy has it where there are async drivers

        waiting = greenlet.getcurrent().parent
        while waiting is not None:
            yield waiting.gr_frame
            waiting = waiting.parent


@lru_cache(maxsize=256)
def tree_of(path: str) -> ast.Module | None:
    """The source of a file; None where there is none to read."""
    try:
        return ast.parse(Path(path).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None


def constants(paths: Iterable[str]) -> Iterator[str]:
    """What the code in these files spells out, docstrings aside."""
    for path in paths:
        tree = tree_of(path)
        nodes = list(ast.walk(tree)) if tree is not None else []
        texts = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        yield from (str(node.value) for node in nodes if isinstance(node, ast.Constant) and id(node) not in texts)


def swallowing_handler(path: str, line: int) -> int | None:
    """The line of the ``except`` (or of the ``suppress()``) that hides what fails in `line`; None where there is none.

    The innermost that does not raise again; where all may, the innermost.
    """
    found = _handlers_of(path, line)
    return hiding_handler(path, line) or next((at for at, _ in reversed(found)), None)


def hiding_handler(path: str, line: int) -> int | None:
    """The same, without those that may raise again."""
    return next((at for at, raises in reversed(_handlers_of(path, line)) if not raises), None)


def _handlers_of(path: str, line: int) -> list[tuple[int, bool]]:
    tree = tree_of(path)
    return [] if tree is None else list(_handlers(tree, line))


def _handlers(node: ast.AST, line: int) -> Iterator[tuple[int, bool]]:
    """Of the statements round `line`, from outside in: where it is handled, and whether it may be raised again."""
    for child in ast.iter_child_nodes(node):
        first, last = getattr(child, "lineno", None), getattr(child, "end_lineno", None)
        if first is not None and last is not None and not first <= line <= last:
            continue
        if first is None and not isinstance(child, (ast.match_case, ast.ExceptHandler)):
            continue
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):  # its caller's handlers are the caller's
            yield from _handlers(child, line)
            continue
        if isinstance(child, ast.Try) and any(s.lineno <= line <= (s.end_lineno or s.lineno) for s in child.body):
            for handler in child.handlers[:1]:
                yield handler.lineno, any(isinstance(inner, ast.Raise) for inner in ast.walk(handler))
        elif isinstance(child, (ast.With, ast.AsyncWith)) and any(map(_is_suppress, child.items)):
            yield child.lineno, False
        yield from _handlers(child, line)


def _is_suppress(item: ast.withitem) -> bool:
    called = item.context_expr.func if isinstance(item.context_expr, ast.Call) else None
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", None)
    return name == "suppress"
