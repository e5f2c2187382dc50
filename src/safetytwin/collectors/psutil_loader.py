"""psutil, which only the portable collectors need, imported when the first of them is made."""

import importlib
from typing import Any


def load_psutil() -> Any:
    """Return the module; raises ModuleNotFoundError that says how to install it."""
    try:
        return importlib.import_module("psutil")
    except ImportError as error:
        raise ModuleNotFoundError(
            "the psutil backend needs psutil, which is not installed: pip install 'safetytwin[psutil]'"
        ) from error


class Portable:
    """What the portable collectors share: psutil itself, and nothing to close."""

    def __init__(self) -> None:
        self._psutil = load_psutil()

    def close(self) -> None:
        """Hold nothing open."""
