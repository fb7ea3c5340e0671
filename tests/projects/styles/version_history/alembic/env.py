from alembic import context
from sqlalchemy import engine_from_config, pool, text

config = context.config
engine = engine_from_config(
    config.get_section(config.config_ini_section, {}), prefix="sqlalchemy.", poolclass=pool.NullPool
)



def note(ctx, step, heads, run_args, **_):
    ctx.connection.execute(text("CREATE TABLE IF NOT EXISTS history (line text)"))
    ctx.connection.execute(text("INSERT INTO history VALUES (:line)"), {"line": ", ".join(sorted(heads))})


with engine.connect() as connection:
    context.configure(connection=connection, on_version_apply=note)
    with context.begin_transaction():
        context.run_migrations()
