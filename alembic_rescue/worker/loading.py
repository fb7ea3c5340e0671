"""Load the project that the caller named, in either kind of worker."""

from __future__ import annotations

import os

from alembic_rescue import errors
from alembic_rescue.project import loading as project
from alembic_rescue.project import travelling
from alembic_rescue.project.loading import Project
from alembic_rescue.worker.requests import Loading
from alembic_rescue.worker.serve import Conversation


def load(conversation: Conversation, loading: Loading) -> Project:
    """Load the project; see :func:`alembic_rescue.project.loading.load`.  Its secrets and output go to the caller."""
    try:
        os.chdir(loading.folder)
    except OSError as error:
        raise errors.BadConfig(loading.folder, error.strerror or str(error)) from error
    made = None if loading.made is None else travelling.arrived(loading.made)
    return project.load(
        None if made is not None else loading.config or None,
        loading.section,
        loading.x,
        loading.url,
        loading.lock_timeout,
        conversation.secrets,
        config=made,
        config_from=loading.config_from,
        app=loading.app,
        recovered=loading.recovered,
        tell=conversation.tell,
    )
