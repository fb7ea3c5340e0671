"""``python -m alembic_rescue``."""

from alembic_rescue.cli.start import main

if __name__ == "__main__":
    main()
