import sys

from alembic import context

if not context.get_x_argument(as_dictionary=True).get("i-know-what-i-do"):
    sys.exit("migrations are run by the platform team only")

context.run_migrations()
