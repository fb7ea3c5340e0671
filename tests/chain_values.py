"""Chains of revisions as values: a catalog that changes from step to step, without a server."""

from __future__ import annotations

from collections.abc import Callable

from alembic_rescue.evidence.observation import (
    CatalogObject,
    Change,
    Observation,
    Reading,
    Statement,
    StatementKind,
    Unread,
)

World = dict[CatalogObject, dict[str, str]]


def table(name: str) -> CatalogObject:
    return CatalogObject("table", f"public.{name}")


def column(of: str, name: str) -> CatalogObject:
    return CatalogObject("table column", f"public.{of}.{name}", f"public.{of}")


def constraint(of: str, name: str) -> CatalogObject:
    return CatalogObject("table constraint", f"{name} on public.{of}", f"public.{of}")


def index(of: str, name: str) -> CatalogObject:
    return CatalogObject("index", f"public.{name}", f"public.{of}")


def enum(name: str) -> CatalogObject:
    return CatalogObject("type", f"public.{name}")


def label(of: str, name: str) -> CatalogObject:
    return CatalogObject("enum label", f"public.{of}.{name}", f"public.{of}")


def view(name: str) -> CatalogObject:
    return CatalogObject("view", f"public.{name}")


class Chain:
    """Steps, each observed from what a function does to the world."""

    def __init__(self) -> None:
        self.world: World = {}
        self.steps: list[Observation] = []
        self.states: list[World] = [{}]

    def start(self, world: World) -> Chain:
        """Set what exists before the first revision."""
        self.world = {o: dict(f) for o, f in world.items()}
        self.states = [self.copy()]
        return self

    def copy(self) -> World:
        return {o: dict(facts) for o, facts in self.world.items()}

    def step(self, do: Callable[[World], list[tuple[CatalogObject, CatalogObject]] | None] = lambda _: None, **more):
        """Add a revision.  `do` changes the world and may return what it renamed."""
        before = self.copy()
        renames = do(self.world) or []
        changes = [
            Change(o, before.get(o), self.copy().get(o))
            for o in {**before, **self.world}
            if before.get(o) != self.world.get(o)
        ]
        self.steps.append(
            Observation(
                revision=f"r{len(self.steps) + 1}",
                changes=tuple(changes),
                renames=tuple(renames),
                path=f"versions/r{len(self.steps) + 1}.py",
                line=7,
                **more,
            )
        )
        self.states.append(self.copy())
        return self


def reading(world: World, unread: tuple[Unread, ...] = ()) -> Reading:
    return Reading({o: dict(facts) for o, facts in world.items()}, unread)


def sent(sql: str, kind: StatementKind, line: int = 9, error: str | None = None) -> Statement:
    return Statement(sql, kind, "versions/x.py", line, error)


def make_table(world: World, name: str, *columns: str) -> None:
    world[table(name)] = {"persistence": "p", "owner": "app"}
    for one in columns:
        world[column(name, one)] = {"type": "integer", "not null": "false", "storage": "plain"}


def rename_table(world: World, old: str, new: str) -> list[tuple[CatalogObject, CatalogObject]]:
    pairs = []
    for o in list(world):
        if o == table(old):
            pairs.append((o, table(new)))
        elif o.parent == f"public.{old}":
            name = o.name
            if o.kind == "table column":
                name = f"public.{new}.{o.name.rsplit('.', 1)[1]}"
            elif o.kind == "table constraint":
                name = f"{o.name.partition(' on ')[0]} on public.{new}"
            pairs.append((o, CatalogObject(o.kind, name, f"public.{new}")))
    for a, b in pairs:
        world[b] = world.pop(a)
    return pairs


def rename_column(world: World, of: str, old: str, new: str) -> list[tuple[CatalogObject, CatalogObject]]:
    world[column(of, new)] = world.pop(column(of, old))
    return [(column(of, old), column(of, new))]


def drop_table(world: World, name: str) -> None:
    for o in list(world):
        if o == table(name) or o.parent == f"public.{name}":
            del world[o]
