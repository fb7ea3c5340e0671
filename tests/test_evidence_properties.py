"""Random chains of random DDL, the database at a random position, then one object of it damaged."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from tests.chains import MISSING, told, write
from tests.conftest import fresh_database
from tests.random_chains import RandomChain, chains
from tests.servers import Server
from tests.test_histories import false_verdicts, mislocated

FEW = settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
MANY = settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate]
)


def verdicts_are_those_of_the_position(server: Server, chain: RandomChain, data: st.DataObject) -> None:
    position = data.draw(st.integers(1, len(chain.bodies)), label="position")
    damages = chain.states[position].damages()
    with fresh_database(server) as database, tempfile.TemporaryDirectory() as folder:
        project = write(Path(folder) / "project", database.url, chain.bodies)
        project.upgrade(f"r{position}")
        part = project.locate()
        wrong = false_verdicts(part.revisions, position) + mislocated(part.located, part.revisions, position)
        assert not wrong, "\n".join([f"at r{position} of {chain.bodies}", *wrong])

        if not damages:
            return
        damage, name = data.draw(st.sampled_from(damages), label="damage")
        event(damage.split()[0])
        database.run(damage)
        part = project.applied()
        missing = [revision for revision in part.revisions if revision.verdict in MISSING]
        named = [found.name for revision in missing for found in revision.missing]
        assert any(name in found for found in named), "\n".join(
            [f"{damage} at r{position} of {chain.bodies}", *map(told, part.revisions)]
        )
        dropped = [found.sql for revision in missing for found in revision.missing if found.sql and "DROP" in found.sql]
        if damage.startswith(("DROP", f"ALTER TABLE {damage.split()[2]} DROP COLUMN")) and ";" not in damage:
            assert not dropped, dropped  # what is gone is not made again by taking something away


@FEW
@given(chain=chains(), data=st.data())
def test_a_few_chains(server: Server, chain: RandomChain, data: st.DataObject) -> None:
    verdicts_are_those_of_the_position(server, chain, data)


@pytest.mark.slow
@MANY
@given(chain=chains(most=9), data=st.data())
def test_many_chains(server: Server, chain: RandomChain, data: st.DataObject) -> None:
    verdicts_are_those_of_the_position(server, chain, data)
