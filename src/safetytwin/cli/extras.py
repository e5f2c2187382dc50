"""Parts of the product that are installed on demand, or not to be had everywhere."""

import sys
from types import ModuleType

from safetytwin.cli.errors import UserError


def bridge_server() -> ModuleType:
    """Return the module that runs a bridge; raises UserError where what it needs is not there."""
    try:
        from safetytwin.bridge import server
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("safetytwin"):
            raise
        if error.name in sys.stdlib_module_names:  # fcntl, resource
            raise UserError(
                "the bridge runs on Linux and macOS; let this machine report to one there: "
                "safetytwin agent --bridge URL"
            ) from error
        raise UserError(
            f"the bridge needs the package {error.name}, which is not installed; run: pip install 'safetytwin[bridge]'"
        ) from error
    return server
