"""A revision that the scripts lack, found next to them: in files that name it, and in bytecode (issue 10)."""

from __future__ import annotations

import marshal
import py_compile
import sys
import types
from importlib.util import MAGIC_NUMBER

import pytest

from alembic_rescue.evidence.lost import Found
from alembic_rescue.lost import compiled, named
from tests.repositories import Repo, source

REPLACING = {
    "a list": "replaces = ['b1', 'c3']",
    "a tuple, annotated": "replaces: tuple = ('c3',)",
    "one": "squashed_from = 'c3'",
    "a comment": "# Replaces: b1, c3",
    "a comment of several lines": "# Squashes:\n#   - b1\n#   - c3\n",
    "a docstring": '"""squash\n\nReplaces b1 and c3.\n\nRevises:\n"""',
    "a docstring's list": '"""squashed\n\nSupersedes\n  * b1\n  * c3\n"""',
}
NOT_REPLACING = {
    "SQL": "op.execute(\"UPDATE x SET v = 'c3'\")",
    "another list": "depends_on = ['c3']",
    "a longer id": "replaces = ['c33', 'xc3']",
    "a part of one": "# Replaces: c3-a, a-c3, c3.b",
    "a docstring that follows it": '"""Replace the type\nRevises: c3\n"""',
    "code in a text": "SQL = '''\nReplaces: c3\n'''",
    "behind an empty line": "# Replaces: b1\n\n# then c3",
    "no Python": "replaces = ['c3'",
}


@pytest.mark.parametrize("text", REPLACING.values(), ids=REPLACING)
def test_a_file_that_replaces_it(text):
    assert named.replaces(text, "c3")


@pytest.mark.parametrize("text", NOT_REPLACING.values(), ids=NOT_REPLACING)
def test_a_file_that_does_not(text):
    assert not named.replaces(text, "c3")


def test_a_comment_that_says_what_it_followed():
    text = '"""add\n\nRevision ID: d4\nRevises: b2, c3\n"""\nrevision = "d4"\ndown_revision = "b2"\n'
    assert named.revises(text, "c3")
    assert not named.revises(text, "d4")
    assert not named.revises(text.replace("c3", "c3x"), "c3")


@pytest.fixture
def repo(tmp_path, monkeypatch):
    """Without git, which has its own tests."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(tmp_path)
    repo = Repo(tmp_path)
    repo.write("b2", None)
    return repo


def test_files_are_searched_first(repo):
    repo.write("s1", "b2", text="replaces = ['c3']\n" + source("s1", "b2"))
    (found,) = repo.search("c3").found
    assert (found.found, found.named_by, found.path) == (Found.REPLACED, "s1", "versions/s1_x.py")


def test_comments_are_searched_last(repo):
    repo.write("d4", "b2", text='"""add\n\nRevises: c3\n"""\nrevision = "d4"\ndown_revision = "b2"\n')
    (found,) = repo.search("c3").found
    assert (found.found, found.named_by) == (Found.NAMED, "d4")


def compile_(repo, revision, text, name="c3_x"):
    path = repo.write(revision, None, name=f"{name}.py", text=text)
    made = py_compile.compile(str(path), doraise=True)
    path.unlink()
    return repo.root / made


def test_bytecode_whose_source_is_gone(repo):
    made = compile_(repo, "c3", source("c3", "b2"))
    (found,) = repo.search("c3").found
    assert (found.found, found.down_revisions, found.doc) == (Found.COMPILED, ("b2",), "make c3")
    assert found.path == str(made)
    assert repo.search("c3").command is None


@pytest.mark.parametrize("down", [("b2", "b3"), None])
def test_bytecode_of_a_merge_and_of_a_base(repo, down):
    compile_(repo, "c3", source("c3", down))
    (found,) = repo.search("c3").found
    assert found.down_revisions == (down or ())


def test_bytecode_of_a_file_whose_name_lacks_the_id(repo):
    compile_(repo, "c3", "revision: str = 'c3'\ndown_revision: str = 'b2'\n", name="whatever")
    (found,) = repo.search("c3").found
    assert found.down_revisions == ("b2",)


def test_bytecode_that_only_follows_it(repo):
    compile_(repo, "d4", source("d4", "c3"), name="d4_x")
    assert repo.search("c3").found == ()


def test_bytecode_with_its_source_counts_as_the_source(repo):
    path = repo.write("b2", None, text=source("b9", None))
    py_compile.compile(str(path), doraise=True)
    repo.write("b2", None)
    assert repo.search("b9").found == ()


def test_bytecode_of_another_python_is_recognised_by_its_name_alone(repo):
    made = compile_(repo, "c3", source("c3", "b2"))
    made.write_bytes(b"\x01\x02\r\n" + made.read_bytes()[4:])
    (found,) = repo.search("c3").found
    assert (found.found, found.down_revisions) == (Found.COMPILED, ())
    made.rename(made.with_name("d4_x.cpython-399.pyc"))
    assert repo.search("c3").found == ()


def test_bytecode_is_never_run(repo, tmp_path):
    ran = tmp_path / "ran"
    text = f"import pathlib\npathlib.Path({str(ran)!r}).touch()\n{source('c3', 'b2')}"
    compile_(repo, "c3", text)
    assert repo.search("c3").found
    assert not ran.exists()


def test_bytecode_made_to_crash_does_no_harm(repo):
    """A name that the code lacks: unmarshalled here, it would end this process."""
    folder = repo.folder / "__pycache__"
    folder.mkdir()
    code = compile("revision = 'c3'\n", "x", "exec")
    evil = marshal.dumps(code.replace(co_names=(), co_code=code.co_code * 3))
    for number, data in enumerate([evil, evil[:-9], b"\xe3" * 4096, marshal.dumps("c3") * 99]):
        (folder / f"e{number}_x.cpython-{sys.version_info[1]}.pyc").write_bytes(
            MAGIC_NUMBER + bytes(12) + data + b"zc3"
        )
    compile_(repo, "c3", source("c3", "b2"), name="z_x")
    (found,) = repo.search("c3").found
    assert found.down_revisions == ("b2",)
    assert isinstance(code, types.CodeType)


def test_a_long_id_is_no_fault():
    assert compiled.find("x" * 999, []) is None
