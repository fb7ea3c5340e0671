"""Deploys from a coroutine, as the startup hook of an asynchronous application does."""

import asyncio
import json
import sys
from pathlib import Path

import alembic_rescue
from alembic_rescue.report.json import document

command, *more = sys.argv[3:]
folder = Path("../receipts")


async def deploy():
    project = alembic_rescue.load()
    if command == "plan":
        return alembic_rescue.plan(project, more[0])
    if command == "upgrade":
        return alembic_rescue.upgrade(project, folder=folder)
    if command == "stamp":
        return alembic_rescue.stamp(project, more[0], confirm=lambda _: True, folder=folder)
    return alembic_rescue.undo(project, confirm=lambda _: True, folder=folder)


print(json.dumps(document(asyncio.run(deploy()))))
