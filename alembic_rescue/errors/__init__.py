"""Every refusal and every error of the tool, with its code, its sentence, the way on and the exit status.

A :class:`RescueError` is either a :class:`Refusal` (a check said no, nothing was written: exit status 3) or
one of the failures beside it.  The texts live here and nowhere else, so that the same fact is told in the same
words by every command, in the text and in the JSON.
"""

from __future__ import annotations

from alembic_rescue.errors.base import *
from alembic_rescue.errors.configuration import *
from alembic_rescue.errors.database import *
from alembic_rescue.errors.deploying import *
from alembic_rescue.errors.handover import *
from alembic_rescue.errors.interpreter import *
from alembic_rescue.errors.outcome import *
from alembic_rescue.errors.refusals import *
from alembic_rescue.errors.scratch import *
from alembic_rescue.errors.stamping import *
from alembic_rescue.errors.travel import *
from alembic_rescue.errors.usage import *
from alembic_rescue.errors.words import *
