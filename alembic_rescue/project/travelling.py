"""Send a Config object to the process that runs env.py.

It is never sent whole: its files, section and options are, and those of its attributes that JSON can represent.
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from alembic.config import Config

from alembic_rescue import compat, errors


def ready(config: Config) -> dict[str, Any]:
    """Return what is needed to make it again.

    Raises:
        ConfigDoesNotTravel: some of its attributes cannot be sent to another process.
    """
    attributes = {str(name): value for name, value in config.attributes.items()}
    stay = [name for name, value in attributes.items() if not _travels(value)]
    if stay:
        raise errors.ConfigDoesNotTravel(stay)
    parser = config.file_config
    options = vars(config.cmd_opts) if config.cmd_opts is not None else None
    return {
        "file": config.config_file_name,
        "toml": str(getattr(config, "toml_file_name", None) or "") or None,
        "section": config.config_ini_section,
        "defaults": dict(parser.defaults()),
        "sections": {name: dict(parser.items(name, raw=True)) for name in parser.sections()},
        "attributes": attributes,
        "options": None if options is None else {name: one for name, one in options.items() if _travels(one)},
    }


def arrived(made: Mapping[str, Any]) -> Config:
    """Rebuild the Config that was passed to :func:`ready`."""
    toml = compat.toml_argument(made["toml"]) if made["toml"] else {}
    options = None if made["options"] is None else Namespace(**made["options"])
    config = Config(made["file"], ini_section=made["section"], cmd_opts=options, **toml)
    parser = config.file_config
    parser.read_dict({parser.default_section: made["defaults"]})
    for section, values in made["sections"].items():
        if not parser.has_section(section):
            parser.add_section(section)
        for name, value in values.items():
            if made["defaults"].get(name) != value:
                parser.set(section, name, value)
    config.attributes.update(made["attributes"])
    return config


def _travels(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True
