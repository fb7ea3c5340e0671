"""The public names of the package: each can be imported, and nothing is imported before it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import alembic_rescue


@pytest.mark.parametrize("name", alembic_rescue.__all__)
def test_each_public_name_can_be_imported(name):
    assert getattr(alembic_rescue, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'rescue_everything'"):
        _ = alembic_rescue.rescue_everything


def test_importing_the_package_imports_neither_alembic_nor_sqlalchemy():
    code = "import sys, alembic_rescue; print('alembic' in sys.modules or 'sqlalchemy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
