"""Looking for revisions that a version table names and the scripts do not have: in files, in git, in bytecode.

Reads only, and runs no code of the project: what is found is text, read as :mod:`alembic_rescue.worker.script_files`
reads the scripts.
"""
