"""Random chains of random DDL, the database at a random position, then one object of it damaged."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from alembic_rescue.evidence.model import Presence
from tests.chains import MISSING, told, write
from tests.conftest import fresh_database
from tests.observed import observe
from tests.random_chains import RandomChain, chains
from tests.servers import Server
from tests.test_histories import false_verdicts, mislocated

EXAMPLES = int(os.environ.get("EXAMPLES", "25"))
FEW = settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
MANY = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)


def verdicts_are_those_of_the_position(server: Server, chain: RandomChain, data: st.DataObject, judging: str) -> None:
    position = data.draw(st.integers(1, len(chain.bodies)), label="position")
    damages = chain.states[position].damages()
    with (
        fresh_database(server) as database,
        fresh_database(server) as scratch,
        tempfile.TemporaryDirectory() as folder,
    ):
        project = write(Path(folder) / "project", database.url, chain.bodies)
        observed = observe(project.root, project.revisions, scratch) if judging == "observed" else None
        project.upgrade(f"r{position}")
        if observed:
            every = observed.judged(database)
            located = observed.located(every)
        else:
            part = project.locate()
            every, located = part.revisions, part.located
        wrong = false_verdicts(every, position) + mislocated(located, every, position)
        assert not wrong, "\n".join([f"at r{position} of {chain.bodies}", *wrong])

        if not damages:
            return
        damage, name = data.draw(st.sampled_from(damages), label="damage")
        event(damage.split()[0])
        database.run(damage)
        applied = observed.judged(database, 0, position) if observed else project.applied().revisions
        missing = [revision for revision in applied if revision.verdict in MISSING]
        named = [found.name for revision in missing for found in revision.missing]
        if observed:  # their scratch database is at the end of the chain, where not every text can be loaded
            named += [o.name for one in applied for o in one.objects if o.presence is Presence.UNVERIFIABLE]
        assert any(name in found for found in named), "\n".join(
            [f"{damage} at r{position} of {chain.bodies}", *map(told, applied)]
        )
        dropped = [found.sql for revision in missing for found in revision.missing if found.sql and "DROP" in found.sql]
        if damage.startswith(("DROP", f"ALTER TABLE {damage.split()[2]} DROP COLUMN")) and ";" not in damage:
            assert not dropped, dropped  # a removed object is not recreated by removing something


@FEW
@given(chain=chains(), data=st.data())
def test_a_few_chains_through_the_whole_tool(server: Server, chain: RandomChain, data: st.DataObject) -> None:
    verdicts_are_those_of_the_position(server, chain, data, "whole tool")


@MANY
@given(chain=chains(most=9), data=st.data())
def test_many_chains(server: Server, chain: RandomChain, data: st.DataObject) -> None:
    verdicts_are_those_of_the_position(server, chain, data, "observed")
