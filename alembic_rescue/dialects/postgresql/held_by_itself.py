"""Make sessions read-only if env.py calls a driver directly and the driver does not read ``PGOPTIONS``."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

_HELD = {"default_transaction_read_only": "on"}


def asyncpg(is_held: Callable[[], bool], module: ModuleType) -> None:
    """Change the function in ``asyncpg.connect_utils`` that parses the arguments of every way to connect.

    Its name is private; asyncpg 0.21 to 0.32 have it, with keyword arguments.
    """
    original = module._parse_connect_arguments  # noqa: SLF001 - see above
    if getattr(original, "held_by_itself", False):
        return

    @wraps(original)
    def held(**asked: Any) -> Any:
        if is_held():
            asked["server_settings"] = {**(asked.get("server_settings") or {}), **_HELD}
        return original(**asked)

    held.held_by_itself = True  # type: ignore[attr-defined]
    module._parse_connect_arguments = held  # type: ignore[attr-defined]  # noqa: SLF001 - see above


def pg8000(is_held: Callable[[], bool], module: ModuleType) -> None:
    """Change ``pg8000.core.CoreConnection``, the base class of all its connections.

    It accepts ``startup_params`` since 1.31.
    """
    initialise = module.CoreConnection.__init__
    if getattr(initialise, "held_by_itself", False) or "startup_params" not in initialise.__code__.co_varnames:
        return

    @wraps(initialise)
    def held(self: Any, *arguments: Any, **named: Any) -> None:
        if is_held():
            named["startup_params"] = {**(named.get("startup_params") or {}), **_HELD}
        initialise(self, *arguments, **named)

    held.held_by_itself = True  # type: ignore[attr-defined]
    module.CoreConnection.__init__ = held
