"""Decide from its source, and from the objects that its names refer to, whether an expression could send a statement.

What is known to send nothing is listed here; anything else may send a statement.
"""

from __future__ import annotations

import ast
import builtins
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import FunctionType, ModuleType
from typing import Any

from alembic_rescue.evidence.observation import StatementKind
from alembic_rescue.worker.observer.lines import Files, absolute, tree_of

_Function = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Sends:
    """The expression could send a statement."""

    kind: StatementKind
    """CATALOG or DATA."""
    surely: bool
    """Whether it certainly sends one when it runs; if False, that is unknown."""


_CATALOG, _DATA, _UNKNOWN = (
    Sends(StatementKind.CATALOG, surely=True),
    Sends(StatementKind.DATA, surely=True),
    Sends(StatementKind.DATA, surely=False),
)
_OPERATIONS = re.compile(
    r"(create|drop|alter|rename|replace)(_\w+)?"
    r"|(add|modify|batch_alter)_(column|columns|table|index|constraint|table_comment)"
)
"""Operations of Alembic, of its batch mode and of plugins; SQLAlchemy's ``create()`` and ``drop()``."""
_EXECUTES = frozenset(["execute", "exec_driver_sql", "execute_sql", "executemany", "executescript", "scalar_sql"])
_CHANGES = frozenset(
    ["bulk_insert", "add", "add_all", "merge", "delete", "update", "insert", "bulk_save_objects", "commit", "flush"]
    + ["bulk_insert_mappings", "bulk_update_mappings", "copy_expert", "copy_from", "copy", "callproc", "fetch", "run"]
)
"""Methods that may send a statement that changes rows, but may also be those of dicts and lists."""
OF_ROWS = frozenset(
    ["bulk_insert", "bulk_save_objects", "bulk_insert_mappings", "bulk_update_mappings", "executemany", "to_sql"]
)
"""Methods that send nothing if there are no rows."""
_WORDS = (
    "alias all and_ any append as_scalar as_string asc astext autocommit_block begin begin_nested bindparams "
    "bool_op c capitalize casefold cast close columns compile connect copy correlate count cte cursor date days "
    "debug decode defaultdict desc difference discard distinct dumps encode endswith error exception exists "
    "expanduser expire expunge extend f fetchall fetchmany fetchone filter filter_by find first format from_dict "
    "fromkeys get getLogger get_bind get_context get_default_schema_name get_dialect getchild getenv group "
    "group_by groups has_index has_sequence has_table having hex hexdigest in_ index info inline_literal inspect "
    "intersection invalidate is_ isalnum isalpha isdigit isdisjoint isinstance isoformat issubclass issubset "
    "issuperset items iterrows join keys label like limit loads log lower lstrip mappings match most_common "
    "name_for_collection not_ not_in notin_ now offset on_conflict_do_nothing on_conflict_do_update one "
    "one_or_none op options or_ order_by outerjoin over params partition partitions pop popitem print query read "
    "read_text reflect refresh remove removeprefix removesuffix replace returning reverse rollback rpartition "
    "rsplit rstrip scalar scalar_one scalar_one_or_none scalar_subquery scalars search select select_from "
    "self_group setdefault sort split splitlines startswith strftime strip strptime sub subquery "
    "symmetric_difference text timestamp title today total_seconds translate tuples union unique "
    "unique_constraint upper utcnow uuid4 values values_list warn warn_once warning where with_entities "
    "with_for_update within_group yield_per zfill "
)
_HARMLESS_METHODS = frozenset(_WORDS.split())
"""Methods of strings, containers, queries, results, inspectors and loggers, and parts of SQL expressions."""
_READING = re.compile(r"(get|has|is|_?check|list|find|fetch|load|read)_(?!or_create|or_insert|and_)\w+")
"""Reading methods of unknown objects, such as an inspector's ``get_columns`` or ``has_table``."""
_REACHING_OUT = frozenset(
    ["os", "subprocess", "socket", "shutil", "urllib", "http", "smtplib", "ftplib", "sqlite3", "asyncio", "threading"]
    + ["multiprocessing", "concurrent", "ctypes", "signal", "runpy", "webbrowser", "xmlrpc", "imaplib", "posix"]
)
_CODE = frozenset(["exec", "eval", "compile", "__import__"])
_CONTAINERS = (ast.Dict, ast.List, ast.Set, ast.ListComp, ast.SetComp, ast.DictComp, ast.Tuple, ast.JoinedStr)
_SELECTS = frozenset(["select", "exists", "func", "literal", "union", "union_all"])


def sender_of(
    tree: ast.Module, names: Mapping[str, Any], files: Files, kind_of: Callable[[str], StatementKind]
) -> Sender:
    """Return the :class:`Sender` for the expressions of one file.

    Args:
        tree: the syntax tree of the file.
        names: the global names of its module.
        files: identifies the project's files, whose functions are read too.
        kind_of: returns the kind of a constant statement.
    """
    return Sender(tree, names, files, kind_of, {})


@dataclass
class Sender:
    """See :func:`sender_of`."""

    tree: ast.Module
    names: Mapping[str, Any]
    files: Files
    kind_of: Callable[[str], StatementKind]
    known: dict[tuple[str, int], Sends | None]
    """The results for functions already read, by file and line."""
    _assigned: dict[str, list[ast.expr]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for node in ast.walk(self.tree):
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    if isinstance(target, ast.Name):
                        self._assigned.setdefault(target.id, []).append(node.value)
            elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                self._assigned.setdefault(node.target.id, []).extend([node.value, node.value])

    def of_statement(self, node: ast.stmt) -> Sends | None:
        """Return what a statement could send, without its bodies.  Setting an attribute may change a row."""
        found = [self.of(part) for part in ast.iter_child_nodes(node) if isinstance(part, (ast.expr, ast.withitem))]
        if isinstance(node, (ast.Assign, ast.AugAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found += [_UNKNOWN for one in targets if isinstance(one, ast.Attribute) and self._may_be_a_row(one.value)]
        return _strongest(found)

    def of(self, expression: ast.AST) -> Sends | None:
        """Return what an expression could send; None for nothing."""
        return _strongest([self._of_call(node) for node in ast.walk(expression) if isinstance(node, ast.Call)])

    def _may_be_a_row(self, owner: ast.expr) -> bool:
        return not (isinstance(owner, ast.Name) and (owner.id in {"self", "cls"} or owner.id in self.names))

    def _of_call(self, call: ast.Call) -> Sends | None:
        func = call.func
        stands_for = self._resolved(func)
        if stands_for is not None and not self._is_operation(func, stands_for):
            return self._of_object(stands_for)
        if isinstance(func, ast.Name):
            return self._of_name(func.id)
        if not isinstance(func, ast.Attribute):
            return _UNKNOWN
        return self._of_method(func, call)

    @staticmethod
    def _is_operation(func: ast.expr, stands_for: Any) -> bool:
        """Whether it is a function of ``alembic.op``, which is judged by its name and arguments."""
        module = str(getattr(stands_for, "__module__", ""))
        return isinstance(func, (ast.Attribute, ast.Name)) and (
            module.startswith("alembic.op") or module == "alembic.op"
        )

    def _of_name(self, name: str) -> Sends | None:
        """Return what a function of this file sends that is not a global name, because it is nested in another one."""
        defined = [node for node in ast.walk(self.tree) if isinstance(node, _Function) and node.name == name]
        return _strongest([self._of_function("", one, self) for one in defined]) if defined else _UNKNOWN

    def _of_method(self, func: ast.Attribute, call: ast.Call) -> Sends | None:
        name = func.attr
        if name in _EXECUTES:
            return self._of_sql(call.args[0] if call.args else next((k.value for k in call.keywords), None))
        if self._is_container(func.value):
            return None
        if _OPERATIONS.fullmatch(name) and name != "replace":
            return _CATALOG
        if name in _CHANGES or name in OF_ROWS:
            return _DATA if name in {*OF_ROWS, "add", "add_all"} else _UNKNOWN
        if name in _HARMLESS_METHODS or _READING.fullmatch(name):
            return None
        return _UNKNOWN

    def _is_container(self, owner: ast.expr) -> bool:
        if isinstance(owner, ast.Name) and (values := self._assigned.get(owner.id)):
            return all(self._is_container(value) for value in values)
        if isinstance(owner, ast.Call) and isinstance(owner.func, ast.Name):
            return owner.func.id in {
                "dict",
                "list",
                "set",
                "tuple",
                "str",
                "sorted",
                "defaultdict",
                "OrderedDict",
                "Counter",
            }
        return isinstance(owner, (*_CONTAINERS, ast.Constant))

    # --- executed SQL ----------------------------------------------------------------------------------------------

    def _of_sql(self, argument: ast.expr | None) -> Sends | None:
        if argument is None:
            return None
        text = self.constant(argument)
        if text is not None:
            kind = self.kind_of(text)
            return {StatementKind.CATALOG: _CATALOG, StatementKind.DATA: _DATA}.get(kind)
        return None if self._selects(argument) else _DATA

    def constant(self, node: ast.expr, depth: int = 0) -> str | None:
        """Return the text of a constant, with ``x`` for inserted values; None if it does not begin with a constant."""
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) else None
        if isinstance(node, ast.JoinedStr):
            return (
                "".join(str(one.value) if isinstance(one, ast.Constant) else " x " for one in node.values).strip()
                or None
            )
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            left = self.constant(node.left, depth)
            return None if left is None else left + (self.constant(node.right, depth) or " x ")
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
            return self.constant(node.left, depth)
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in {"text", "DDL", "SQL", "dedent"} and node.args:
                return self.constant(node.args[0], depth)
            if name in {"format", "bindparams", "execution_options", "strip"} and isinstance(node.func, ast.Attribute):
                return self.constant(node.func.value, depth)
        if isinstance(node, ast.Name) and depth < 5:  # noqa: PLR2004 - names of names
            values = self._assigned.get(node.id, [])
            if len(values) == 1:
                return self.constant(values[0], depth + 1)
            value = self.names.get(node.id)
            return value if isinstance(value, str) and not values else None
        return None

    def _selects(self, node: ast.expr) -> bool:
        """Whether it is a ``select(...)``, with any methods chained to it."""
        while isinstance(node, (ast.Call, ast.Attribute)):
            if isinstance(node, ast.Attribute):
                if node.attr in _SELECTS and isinstance(node.value, ast.Name):
                    return True
                node = node.value
            else:
                node = node.func
        if isinstance(node, ast.Name):
            values = self._assigned.get(node.id, [])
            return node.id in _SELECTS or (len(values) == 1 and self._selects(values[0]))
        return False

    # --- what names refer to -----------------------------------------------------------------------------------------

    def _resolved(self, node: ast.expr) -> Any:
        """Return the object that a global name, or an attribute of a module or class, refers to; None if unknown."""
        if isinstance(node, ast.Name):
            if node.id in self._assigned and node.id not in self.names:
                return None
            return self.names.get(node.id, getattr(builtins, node.id, None))
        if isinstance(node, ast.Attribute):
            owner = self._resolved(node.value)
            if isinstance(owner, (ModuleType, type)):
                return vars(owner).get(node.attr)
        return None

    def _of_object(self, one: Any) -> Sends | None:
        """Return what calling `one` could send."""
        code = getattr(one, "__code__", None)
        if isinstance(one, FunctionType) and code is not None and self.files.is_own(code.co_filename):
            return self._of_own(one)
        name, module = str(getattr(one, "__name__", "")), str(getattr(one, "__module__", ""))
        package = module.partition(".")[0]
        if isinstance(one, type):
            own = vars(one).get("__init__")
            return (
                self._of_object(own)
                if isinstance(own, FunctionType) and module not in sys.stdlib_module_names
                else None
            )
        if package == "builtins":
            return _UNKNOWN if name in _CODE else None
        if package in {"sqlalchemy", "logging"}:
            return None
        if package in sys.stdlib_module_names:
            return _UNKNOWN if package in _REACHING_OUT else None
        return _UNKNOWN

    def _of_own(self, function: FunctionType) -> Sends | None:
        path, line = absolute(function.__code__.co_filename), function.__code__.co_firstlineno
        tree = tree_of(path)
        defined = next(
            (
                node
                for node in ast.walk(tree or ast.Module([], []))
                if isinstance(node, (*_Function, ast.Lambda))
                and line == min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))])
            ),
            None,
        )
        if tree is None or defined is None:
            return _UNKNOWN
        of_file = (
            self if tree is self.tree else Sender(tree, function.__globals__, self.files, self.kind_of, self.known)
        )
        return self._of_function(path, defined, of_file)

    def _of_function(self, path: str, function: ast.AST, of_file: Sender) -> Sends | None:
        """Return what the body of a function could send; a recursive call adds nothing."""
        key = (path, getattr(function, "lineno", 0))
        if key not in self.known:
            self.known[key] = None
            body = getattr(function, "body", [])
            nodes = body if isinstance(body, list) else [body]
            self.known[key] = _strongest([of_file._of_call(call) for call in _calls(nodes)])
        return self.known[key]


def _calls(nodes: Sequence[ast.AST]) -> Iterator[ast.Call]:
    """Yield the calls in a body, except in ``raise`` statements."""
    for node in nodes:
        if isinstance(node, ast.Raise):
            continue
        if isinstance(node, ast.Call):
            yield node
        yield from _calls(list(ast.iter_child_nodes(node)))


def _strongest(found: Sequence[Sends | None]) -> Sends | None:
    sends = [one for one in found if one is not None]
    return max(sends, key=lambda one: (one.kind is StatementKind.DATA, one.surely), default=None)
