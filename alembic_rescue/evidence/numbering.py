"""Self-numbering columns: serial and identity count as the same.  Pure.

Which of the two a live database has depends on who created it, and with what; the difference is reported, but not
counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from alembic_rescue.evidence.names import column_of
from alembic_rescue.evidence.observation import Catalog, CatalogObject, Facts
from alembic_rescue.evidence.positions import Positions

_IDENTITY, _OWNER = "identity", "owned by"


def as_known(positions: Positions, catalog: Catalog) -> tuple[Catalog, Mapping[CatalogObject, str]]:
    """Return the live catalog with such columns in the range's form, and the real form of each changed column.

    A column that has both forms in the range stays as it is.
    """
    states = {o: [state for *_, state in positions.spans(o) if state is not None] for o in positions.objects}
    serial = _serial((o, facts) for o, known in states.items() for facts in known)
    really_serial = _serial(catalog.items())
    owned = {facts[_OWNER]: o for o, known in states.items() for facts in known if _OWNER in facts}
    found, told = dict(catalog), dict[CatalogObject, str]()
    for column in [o for o in catalog if states.get(o)]:
        identities = [state[_IDENTITY] for state in states[column] if _IDENTITY in state]
        default, sequence = serial.get(column.name), owned.get(column.name)
        if default and not identities and _IDENTITY in catalog[column]:
            found[column] = {fact: value for fact, value in catalog[column].items() if fact != _IDENTITY}
            found[default] = states[default][-1]
            told[column] = "it is an identity column, expected serial"
        elif identities and not default and column.name in really_serial:
            found[column] = {**catalog[column], _IDENTITY: identities[-1]}
            told[column] = "it is serial, expected an identity column"
        if column in told and sequence:
            found[sequence] = states[sequence][-1]
    return found, told


def _serial(objects: Iterable[tuple[CatalogObject, Facts]]) -> dict[str, CatalogObject]:
    """Return the defaults that use a sequence, by the full names of their columns."""
    return {
        name: o for o, facts in objects if (name := column_of(o)) and facts.get("default", "").startswith("nextval(")
    }
