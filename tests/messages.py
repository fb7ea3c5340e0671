"""Every text that a person may see, by module, in one file: a change of wording is one diff to read.

``python -m tests.messages`` rewrites it after a change of texts; ``test_messages.py`` compares.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent / "alembic_rescue"
SNAPSHOT = Path(__file__).with_name("messages.txt")
_WORDS = 3
_PROSE = re.compile(r"\b[a-z]{2,}\b")
_PATTERN = re.compile(r"\(\?|\\[bdsSw]|\w\|\w|\|\^")
_SQL = re.compile(r"\s*-*\b(?:[A-Z]{2,} [A-Z]{2,}|SELECT|UPDATE|DELETE|INSERT|EXISTS|NOT EXISTS|ALTER|GRANT)\b")
_CATALOG = re.compile(r"\bpg_\w+\(|\bx\.\w+|::\w|\bquote_ident|^import ")
_LIST = re.compile(r"(?:[\w.]+\s+){30}")


def gathered() -> str:
    """Return the snapshot's text, as it should be now."""
    return "".join(_module(path) for path in sorted(ROOT.rglob("*.py")))


def _module(path: Path) -> str:
    found = sorted(set(_messages(ast.parse(path.read_text(encoding="utf-8")))))
    lines = "".join(f"{text}\n" for _, _, text in found)
    return f"# {path.relative_to(ROOT).as_posix()}\n{lines}\n" if lines else ""


def _messages(module: ast.Module) -> Iterator[tuple[int, int, str]]:
    """Yield line, column and text of each literal that reads as prose; docstrings, SQL and patterns are left out."""
    docstrings = {id(node.value) for node in ast.walk(module) if isinstance(node, ast.Expr)}
    parts = {id(part) for node in ast.walk(module) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(module):
        if id(node) not in docstrings | parts and (text := _written(node)) is not None and _is_prose(text):
            yield node.lineno, node.col_offset, text.replace("\n", "\\n")  # type: ignore[attr-defined]


def _written(node: ast.AST) -> str | None:
    """Return a literal as it is in the source: placeholders keep their braces."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = (_written(one) or "" if isinstance(one, ast.Constant) else _braced(one) for one in node.values)
        return "".join(parts)
    return None


def _braced(node: ast.expr) -> str:
    """Normalise the inner quotes, which differ between versions of Python."""
    if not isinstance(node, ast.FormattedValue):
        return ast.unparse(node)
    converted = f"!{chr(node.conversion)}" if node.conversion > 0 else ""
    spec = f":{_written(node.format_spec)}" if node.format_spec else ""
    return "{" + ast.unparse(node.value).replace('"', "'") + converted + spec + "}"


def _is_prose(text: str) -> bool:
    outside = re.sub(r"\{[^}]*\}", "", text)
    return len(_PROSE.findall(outside)) >= _WORDS and not any(
        shape.search(outside) for shape in (_PATTERN, _SQL, _CATALOG, _LIST)
    )


if __name__ == "__main__":
    SNAPSHOT.write_text(gathered(), encoding="utf-8")
