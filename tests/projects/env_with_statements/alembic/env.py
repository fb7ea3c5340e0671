import os
import subprocess
from logging.config import fileConfig

from alembic import context
from sqlalchemy import engine_from_config, pool, text

config = context.config
fileConfig(config.config_file_name)

if os.environ.get("ENV_PY_SAYS"):
    words = os.environ["ENV_PY_SAYS"]
    print(f"printed: {words}")
    os.system(f"echo 'by a shell: {words}'")
    os.write(1, f"to the descriptor: {words}\n".encode())
    subprocess.run(["echo", f"by a process: {words}"], check=True)

connectable = engine_from_config(
    config.get_section(config.config_ini_section, {}), prefix="sqlalchemy.", poolclass=pool.NullPool
)
with connectable.connect() as connection:
    for statement in filter(None, os.environ.get("ENV_PY_RUNS", "").split(";")):
        connection.execute(text(statement))
        if hasattr(connection, "commit"):
            connection.commit()
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
