"""What stands in for the parts that a dialect does not have: nothing is known, and nothing is asked."""

from __future__ import annotations

from alembic_rescue.dialects import base, handover, scratch


class Identity(base.IdentityReader):
    """What SQLAlchemy knows."""


class Server(base.Server):
    """No settings, no lock, and nobody who blocks."""


class Drivers(base.Drivers):
    """As they come."""


class Failures(base.Failures):
    """Told by their words alone."""


class Scratch(scratch.Scratch):
    """There are none."""


class Rehearsal(base.Rehearsal):
    """Rows are not asked."""


class Places(base.Places):
    """There are none."""


class Scripts(handover.Scripts):
    """There are none."""
