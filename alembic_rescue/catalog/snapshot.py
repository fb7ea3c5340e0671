"""One snapshot of the catalog: every object with its facts, found by name along the search path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from alembic_rescue.model_evidence import Facts, Key, Kind


@dataclass(frozen=True)
class Snapshot:
    """The objects of a database at one moment."""

    dialect: str
    search_path: tuple[str | None, ...]
    objects: Mapping[Key, Facts]
    """By keys with their schema written out; (None,) is the search path of a dialect without schemas."""
    unread: Mapping[Key, str]
    """What is there, but could not be read."""

    @property
    def home(self) -> str | None:
        """Where the session creates."""
        return self.search_path[0] if self.search_path else None

    def find(self, key: Key) -> tuple[Key, Facts] | None:
        """The object of that key, with its full key; None where there is none."""
        for candidate in self._candidates(key):
            if candidate in self.objects:
                return candidate, self.objects[candidate]
        return None

    def on(self, table: Key, kind: Kind) -> Iterator[tuple[Key, Facts]]:
        """What of that kind stands on the table."""
        for schema in (table.schema,) if table.schema else self.search_path:
            found = [
                (k, f)
                for k, f in self.objects.items()
                if k.kind is kind and k.schema == schema and table.name in {k.parent, f.get("table")}
            ]
            if found:
                yield from found
                return

    def _candidates(self, key: Key) -> Iterator[Key]:
        if key.kind in {Kind.SCHEMA, Kind.EXTENSION}:
            yield key
            return
        for schema in (key.schema,) if key.schema else self.search_path:
            yield replace(key, schema=schema)
