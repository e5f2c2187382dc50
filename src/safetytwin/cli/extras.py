"""Parts of the product that are installed on demand."""

from types import ModuleType

from safetytwin.cli.errors import UserError


def bridge_server() -> ModuleType:
    """Return the module that runs a bridge; raises UserError where what it needs is not installed."""
    try:
        from safetytwin.bridge import server
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("safetytwin"):
            raise
        raise UserError(
            f"the bridge needs the package {error.name}, which is not installed; run: pip install 'safetytwin[bridge]'"
        ) from error
    return server
