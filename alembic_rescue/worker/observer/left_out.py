"""Find the lines of a revision, and of project code that it calls, that could send a statement but did not run.

A revision runs on an empty database, where loops over rows and guards on data have nothing to do.  So if it sent
nothing, that does not prove that it does nothing: what counts is which of its lines were skipped.  That is derived from
the source and the lines that ran; the only I/O is reading the source.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from alembic_rescue.evidence.observation import LeftOut, StatementKind
from alembic_rescue.worker.observer.branches import decided, ends
from alembic_rescue.worker.observer.lines import Files, Place, Ran, absolute, tree_of
from alembic_rescue.worker.observer.sending import OF_ROWS, Sender, sender_of

_Function = (ast.FunctionDef, ast.AsyncFunctionDef)
_Conditional = (ast.IfExp, ast.BoolOp, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Lambda)


def left_out(
    ran: Mapping[str, Ran],
    files: Files,
    dialect: str,
    kind_of: Callable[[str], StatementKind],
    sent_from: Collection[Place],
) -> tuple[LeftOut, ...]:
    """Return the skipped lines of the functions that were entered.

    Args:
        ran: what ran of each file.
        files: identifies the project's files.
        dialect: SQLAlchemy's name; a branch for another dialect does not count as skipped.
        kind_of: returns the kind of a constant statement.
        sent_from: the lines that sent statements with an effect.  They show whether a line that may have run only in
            part, or that sends nothing if there are no rows, has sent any.
    """
    found: dict[tuple[str, int], LeftOut] = {}
    for name, one in ran.items():
        path = absolute(name)
        sent = {line for file, line in sent_from if file == path}
        tree = tree_of(path)
        if tree is None:
            found.update({(path, line): _without_source(path, line) for line in _lines_left(one)})
            continue
        for left in _File(path, tree, one, sender_of(tree, one.names, files, kind_of), dialect, sent).left_out():
            found.setdefault((path, left.line), left)
    return tuple(found[key] for key in sorted(found))


def _lines_left(ran: Ran) -> Iterator[int]:
    """Yield the lines of functions that did not run, for a file without source."""
    for code in ran.codes:
        if code.co_name != "<module>":
            yield from sorted({line for *_, line in code.co_lines() if line} - ran.lines - {code.co_firstlineno})


def _without_source(path: str, line: int) -> LeftOut:
    return LeftOut(path, line, "(its source cannot be read)", StatementKind.DATA)


@dataclass
class _File:
    """One file, of which some functions were entered."""

    path: str
    tree: ast.Module
    ran: Ran
    sender: Sender
    dialect: str
    sent: set[int]

    def left_out(self) -> Iterator[LeftOut]:
        entered = {(code.co_firstlineno, code.co_name) for code in self.ran.codes}
        handed_on: set[str] = set()
        idle = []
        for function in ast.walk(self.tree):
            if not isinstance(function, _Function):
                continue
            if (_first_line(function), function.name) in entered:
                yield from self._block(function.body)
                handed_on |= self._handed_on(function)
            else:
                idle.append(function)
        for function in idle:  # passed to something that might have called it
            if function.name in handed_on:
                yield from self._dead(function.body)

    def _ran(self, node: ast.stmt) -> bool:
        return any(line in self.ran.lines for line in range(node.lineno, (node.end_lineno or node.lineno) + 1))

    def _handed_on(self, function: ast.AST) -> set[str]:
        """Return the names that executed lines mention without calling them."""
        called = {id(node.func) for node in ast.walk(function) if isinstance(node, ast.Call)}
        return {
            node.id
            for node in ast.walk(function)
            if isinstance(node, ast.Name) and id(node) not in called and node.lineno in self.ran.lines
        }

    # --- code that ran, possibly in part ---------------------------------------------------------------------------

    def _block(self, body: Sequence[ast.stmt]) -> Iterator[LeftOut]:
        for node in body:
            if isinstance(node, (*_Function, ast.ClassDef)):
                continue
            if not self._ran(node):
                yield from self._dead([node])
                continue
            yield from self._parts(node)
            if not isinstance(node, ast.If):
                yield from self._within(node)
                continue
            taken = decided(node.test, self.dialect)
            yield from self._inner(node, node.body if taken is not False else ())
            yield from self._inner(node, node.orelse if taken is not True else ())
            if _settles(node, taken):
                return

    def _within(self, node: ast.stmt) -> Iterator[LeftOut]:
        """Check the bodies of a loop, ``with``, ``try`` or ``match``."""
        for inner in _bodies(node):
            yield from self._inner(node, inner)
        for handler in getattr(node, "handlers", ()):
            if any(self._ran(one) for one in handler.body):
                yield from self._block(handler.body)
            else:
                yield from self._dead(handler.body, surely=True)

    def _inner(self, node: ast.stmt, body: Sequence[ast.stmt]) -> Iterator[LeftOut]:
        """Check a body.  If it is on the line of its header, only the statements sent show whether it ran."""
        if body and body[0].lineno == node.lineno:
            if node.lineno not in self.sent:
                yield from self._dead(body)
        else:
            yield from self._block(body)

    def _parts(self, node: ast.stmt) -> Iterator[LeftOut]:
        """Yield the parts of expressions that may have been skipped, if nothing was sent from there."""
        lines = range(node.lineno, _header_end(node) + 1)
        if self.sent.intersection(lines):
            return
        for expression in _expressions(node):
            for part in ast.walk(expression):
                if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr in OF_ROWS:
                    yield self._left(node, StatementKind.DATA)
                elif isinstance(part, _Conditional):
                    for optional in _optional(part):
                        sends = self.sender.of(optional)
                        if sends is not None:
                            yield self._left(node, sends.kind)

    # --- code that did not run -----------------------------------------------------------------------------------

    def _dead(self, body: Sequence[ast.stmt], *, surely: bool = False) -> Iterator[LeftOut]:
        """Yield what could send a statement in a body that did not run; with `surely`, only what certainly would."""
        for node in body:
            if isinstance(node, (*_Function, ast.ClassDef, ast.Raise)):
                continue
            sends = self.sender.of_statement(node)
            if sends is not None and (sends.surely or not surely):
                yield self._left(node, sends.kind)
            if isinstance(node, ast.If):
                taken = decided(node.test, self.dialect)
                yield from self._dead(node.body if taken is not False else (), surely=surely)
                yield from self._dead(node.orelse if taken is not True else (), surely=surely)
                if _settles(node, taken):
                    return
            else:
                for inner in _bodies(node):
                    yield from self._dead(inner, surely=surely)
                for handler in getattr(node, "handlers", ()):
                    yield from self._dead(handler.body, surely=True)

    def _left(self, node: ast.stmt, kind: StatementKind) -> LeftOut:
        names = [
            part.value
            for expression in _expressions(node)
            for part in ast.walk(expression)
            if isinstance(part, ast.Constant) and isinstance(part.value, str)
        ]
        source = linecache.getline(self.path, node.lineno).strip()
        return LeftOut(self.path, node.lineno, source, kind, tuple(dict.fromkeys(names)))


def _settles(node: ast.If, taken: bool | None) -> bool:  # noqa: FBT001 - the value of a condition
    """Whether the code after it is for another dialect."""
    return (taken is True and ends(node.body)) or (taken is False and ends(node.orelse))


def _first_line(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])


def _bodies(node: ast.stmt) -> Iterator[Sequence[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        if inner := getattr(node, name, None):
            yield inner
    for case in getattr(node, "cases", ()):
        yield case.body


def _header_end(node: ast.stmt) -> int:
    body = next(iter(_bodies(node)), None)
    return max(node.lineno, body[0].lineno - 1) if body else node.end_lineno or node.lineno


def _expressions(node: ast.stmt) -> Iterator[ast.AST]:
    """Yield a statement's own expressions, without those in its bodies."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.expr, ast.withitem, ast.keyword)):
            yield child


def _optional(part: ast.AST) -> Iterator[ast.AST]:
    if isinstance(part, ast.IfExp):
        yield from (part.body, part.orelse)
    elif isinstance(part, ast.BoolOp):
        yield from part.values[1:]
    elif isinstance(part, ast.Lambda):
        yield part.body
    elif isinstance(part, ast.DictComp):
        yield from (part.key, part.value)
    elif isinstance(part, (ast.ListComp, ast.SetComp, ast.GeneratorExp)):
        yield part.elt
