"""The source lines around a cause: without secrets, and with the right numbers or not at all."""

from __future__ import annotations

from alembic_rescue import excerpts
from alembic_rescue.evidence.model import Cause
from alembic_rescue.redact import Secrets
from tests.report_values import line, report


def of(path, number, secret="", handler=None):
    secrets = Secrets()
    secrets.add(secret)
    cause = Cause("b", str(path), number, "CREATE", "it exists", handler is not None, handler, "look before")
    return excerpts.of(report(line("ab"), "a", causes=(cause, cause)).databases, secrets)


def test_the_lines_around_it_and_around_its_except_once_each(tmp_path):
    file = tmp_path / "r.py"
    file.write_text("\n".join(f"line {number}" for number in range(1, 31)))
    (found,) = of(file, 10, handler=14)
    assert found.lines == tuple((number, f"line {number}") for number in range(6, 19))
    (found,) = of(file, 1)
    assert [number for number, _ in found.lines] == [1, 2, 3, 4, 5]


def test_no_secret_is_in_them(tmp_path):
    file = tmp_path / "r.py"
    file.write_text("x = 1\nop.execute(\"ALTER ROLE a PASSWORD 'open-sesame-1'\")\ny = 'tr0ub4dor&3'\n")
    (found,) = of(file, 2, "tr0ub4dor&3")
    told = "\n".join(text for _, text in found.lines)
    assert "open-sesame-1" not in told
    assert "tr0ub4dor&3" not in told
    assert "ALTER ROLE a" in told


def test_a_file_that_cannot_be_read_has_none(tmp_path):
    assert of(tmp_path / "none.py", 3) == ()
    assert of(tmp_path, 3) == ()
