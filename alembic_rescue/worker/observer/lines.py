"""Trace which lines of the project run: in the revision's file, and in code that it calls in the project's folders."""

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
    """Distinguishes the project's files from those of packages.

    Args:
        scripts: the folders of env.py and the revisions, which belong to the project wherever they are.
        others: other project folders: that of the configuration, the working directory.
    """

    def __init__(self, scripts: Sequence[Path], others: Sequence[Path]) -> None:
        self._scripts = tuple(_folder(path) for path in scripts) + tuple(
            _folder(package) for path in scripts if (package := _package_of(path)) is not None
        )
        self._others = tuple(_folder(path) for path in others)
        self._known: dict[str, bool] = {}

    def is_own(self, name: str) -> bool:
        """Whether the file of that name belongs to the project."""
        if name not in self._known:
            of_a_file = not name.startswith("<") and (os.path.isabs(name) or os.path.exists(name))  # noqa: PTH110, PTH117
            self._known[name] = of_a_file and self._is_own(absolute(name))  # neither "<...>" nor compiled elsewhere
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
    """Return the installed package that contains `path`: its helpers belong to the project too."""
    parts = Path(absolute(str(path))).parts
    at = next((at for at, part in enumerate(parts) if part in _OTHERS), None)
    return None if at is None or at + 1 >= len(parts) else Path(*parts[: at + 2])


@lru_cache(maxsize=4096)
def absolute(path: str) -> str:
    """Return the absolute path without resolving links, like Python's own file names."""
    return os.path.abspath(path)  # noqa: PTH100


@dataclass
class Ran:
    """What ran of one file."""

    lines: set[int] = field(default_factory=set)
    codes: set[CodeType] = field(default_factory=set)
    """The functions that were entered."""
    names: dict[str, Any] = field(default_factory=dict)
    """The global names of its module."""


class Trace:
    """Records which lines of the project's files run, in this thread and in threads started meanwhile."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self.ran: dict[str, Ran] = {}
        """By file name, as given by Python."""

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Record during the block."""
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
            return None  # resumed, and begun before the block: env.py's own coroutine
        ran.codes.add(code)
        lines = ran.lines

        def line(frame: FrameType, event: str, _argument: Any) -> Any:
            if event == "line":
                lines.add(frame.f_lineno)
            return line

        return line


# --- where a statement was sent ------------------------------------------------------------------------------------


Place = tuple[str, int]
"""A file and a line in it."""


def places(files: Files, until: Callable[[CodeType], bool]) -> list[Place]:
    """Return the project's lines on the stack, innermost first, up to the frame whose code `until` accepts."""
    found: list[Place] = []
    for frame in _frames():
        if until(frame.f_code):
            return found
        if files.is_own(frame.f_code.co_filename):
            found.append((absolute(frame.f_code.co_filename), frame.f_lineno))
    return found


def is_below(code: Callable[[CodeType], bool]) -> bool:
    """Whether a frame whose code `code` accepts is on the stack."""
    return any(code(frame.f_code) for frame in _frames())


def _frames() -> Iterator[FrameType]:
    """Yield the frames of the stack, innermost first."""
    for top in (sys._getframe(1), *_waiting()):  # noqa: SLF001 - as inspect.currentframe() does, which may be None
        frame: FrameType | None = top
        while frame is not None:
            yield frame
            frame = frame.f_back


def _waiting() -> Iterator[FrameType | None]:
    """Yield the stacks of the greenlets that wait for this one: an async driver is called in a new greenlet."""
    with suppress(ImportError):
        import greenlet  # noqa: PLC0415 - installed with SQLAlchemy if there are async drivers

        waiting = greenlet.getcurrent().parent
        while waiting is not None:
            yield waiting.gr_frame
            waiting = waiting.parent


@lru_cache(maxsize=256)
def tree_of(path: str) -> ast.Module | None:
    """Return the syntax tree of a file; None if it cannot be read or parsed."""
    try:
        return ast.parse(Path(path).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None


def constants(paths: Iterable[str]) -> Iterator[str]:
    """Yield the constants in these files, without docstrings."""
    for path in paths:
        tree = tree_of(path)
        nodes = list(ast.walk(tree)) if tree is not None else []
        texts = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        yield from (str(node.value) for node in nodes if isinstance(node, ast.Constant) and id(node) not in texts)


def swallowing_handler(path: str, line: int) -> int | None:
    """Return the line of the ``except`` or ``suppress()`` that hides a failure in `line`; None if there is none.

    That is the innermost one that does not re-raise, or the innermost if all may.
    """
    found = _handlers_of(path, line)
    return hiding_handler(path, line) or next((at for at, _ in reversed(found)), None)


def hiding_handler(path: str, line: int) -> int | None:
    """Like :func:`swallowing_handler`, without those that may re-raise."""
    return next((at for at, raises in reversed(_handlers_of(path, line)) if not raises), None)


def _handlers_of(path: str, line: int) -> list[tuple[int, bool]]:
    tree = tree_of(path)
    return [] if tree is None else list(_handlers(tree, line))


def _handlers(node: ast.AST, line: int) -> Iterator[tuple[int, bool]]:
    """Yield the line of each handler around `line`, outermost first, and whether it may re-raise."""
    for child in ast.iter_child_nodes(node):
        first, last = getattr(child, "lineno", None), getattr(child, "end_lineno", None)
        if first is not None and last is not None and not first <= line <= last:
            continue
        if first is None and not isinstance(child, (ast.match_case, ast.ExceptHandler)):
            continue
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):  # handlers around the definition do not apply
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
