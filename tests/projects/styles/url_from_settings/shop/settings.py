"""Read from the .env file of the project, as pydantic-settings does."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    database_url: str


_lines = Path(__file__).parent.parent.joinpath(".env").read_text().splitlines()
settings = Settings(database_url=dict(line.split("=", 1) for line in _lines)["DATABASE_URL"])
