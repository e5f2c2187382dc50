"""Which other packages bring collectors: entry points, asked of importlib.metadata only where there are any.

importlib.metadata takes longer to import than all of the agent (it brings email, csv and zipfile with it).
Source: https://packaging.python.org/en/latest/specifications/entry-points/
"""

import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any


def load_entry_points(group: str, path: Sequence[str] | None = None) -> Iterator[tuple[str, Any]]:
    """Yield (what it points to as text, the object) for each entry point of a group in installed packages.

    path is where packages are looked for, sys.path by default. Raises what importing them raises.
    """
    if any(_may_declare(folder or ".", group.encode("ascii")) for folder in (sys.path if path is None else path)):
        from importlib.metadata import entry_points  # noqa: PLC0415 - see above

        for point in entry_points(group=group):
            yield point.value, point.load()


def _may_declare(folder: str, group: bytes) -> bool:
    """Tell whether a package in a folder of sys.path may have entry points of a group; an archive always may."""
    try:
        names = os.listdir(folder)
    except NotADirectoryError:
        return not _is_own_library(folder)
    except OSError:
        return False
    if folder.endswith(".egg") or any(name.endswith(".egg") for name in names):
        return True
    for name in names:
        if name.endswith((".dist-info", ".egg-info")):
            try:
                with open(os.path.join(folder, name, "entry_points.txt"), "rb", buffering=0) as file:
                    if group in (file.read() or b""):
                        return True
            except OSError:
                continue  # most packages have none
    return False


def _is_own_library(archive: str) -> bool:
    """Tell whether an archive is where Python would keep its own library, python311.zip: no packages are in it."""
    return os.path.basename(archive) == f"python{sys.version_info.major}{sys.version_info.minor}.zip"
