"""Search for revisions that the version table names but the scripts lack: in files, in git, in bytecode.

Only reads, and runs no code of the project: what is found is text, read like the scripts themselves in
:mod:`alembic_rescue.worker.script_files`.
"""
