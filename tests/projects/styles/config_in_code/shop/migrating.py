"""The application's own way to its migrations: there is no alembic.ini at all."""

from __future__ import annotations

import os
from pathlib import Path

from alembic.config import Config
from sqlalchemy import create_engine

HERE = Path(__file__).parent


def alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(HERE / "migrations"))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_path_separator", "newline")
    folders = sorted(str(folder) for folder in HERE.glob("*/versions"))
    config.set_main_option("version_locations", "\n".join(folders))
    config.attributes["make_engine"] = lambda: create_engine(os.environ["SHOP_DATABASE"])
    config.attributes["version_table"] = "shop_version"
    return config
