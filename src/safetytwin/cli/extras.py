"""Parts of the product that are installed on demand."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from safetytwin.cli.errors import UserError


def bridge_modules() -> tuple[ModuleType, Callable[..., Any]]:
    """Return the bridge's server and what opens its store; raises UserError where the bridge is not installed."""
    try:
        from safetytwin.bridge import server
        from safetytwin.bridge.twin_keeper import sqlite_keeper
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("safetytwin"):
            raise
        raise UserError(
            f"the bridge needs the package {error.name}, which is not installed; run: pip install 'safetytwin[bridge]'"
        ) from error
    return server, sqlite_keeper
