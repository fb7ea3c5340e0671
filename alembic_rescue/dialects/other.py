"""Defaults for the parts that a dialect does not have: nothing is known and nothing is queried."""

from __future__ import annotations

from alembic_rescue.dialects import base, handover, scratch


class Identity(base.IdentityReader):
    """Only what SQLAlchemy knows."""


class Server(base.Server):
    """No settings, no lock, no blockers."""


class Drivers(base.Drivers):
    """Drivers without special cases."""


class Failures(base.Failures):
    """Errors classified by their text alone."""


class Scratch(scratch.Scratch):
    """No scratch servers."""


class Rehearsal(base.Rehearsal):
    """Rows are not queried."""


class Places(base.Places):
    """No scratch databases."""


class Scripts(handover.Scripts):
    """No scripts."""
