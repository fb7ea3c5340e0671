"""Every refusal and error of the tool, with its code, its message, what to do about it, and the exit status.

A :class:`RescueError` is either a :class:`Refusal` (a check failed, nothing was written: exit status 3) or one of the
other failures.  All texts are here and nowhere else, so that every command reports the same fact in the same words, in
the text and in the JSON.
"""

from __future__ import annotations

from alembic_rescue.errors.base import *
from alembic_rescue.errors.configuration import *
from alembic_rescue.errors.database import *
from alembic_rescue.errors.deploying import *
from alembic_rescue.errors.from_empty import *
from alembic_rescue.errors.handover import *
from alembic_rescue.errors.interpreter import *
from alembic_rescue.errors.outcome import *
from alembic_rescue.errors.refusals import *
from alembic_rescue.errors.scratch import *
from alembic_rescue.errors.stamping import *
from alembic_rescue.errors.travel import *
from alembic_rescue.errors.upgrading import *
from alembic_rescue.errors.usage import *
from alembic_rescue.errors.words import *
