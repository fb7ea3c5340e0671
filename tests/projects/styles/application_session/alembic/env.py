from alembic import context

from shop.database import Session

with Session() as session:
    context.configure(connection=session.connection())
    with context.begin_transaction():
        context.run_migrations()
    session.commit()
