"""Whether files changed since they were read: what stat(2) says of them, which costs a microsecond or two a file."""

import os
import time
from collections.abc import Iterable

Stamp = tuple[int, int, int, int] | None
"""Modification and change time (ns), size and inode of a file or folder; None where there is none."""

_SETTLED_NS = 50_000_000
"""A file that was written this recently may be written again within the same tick of the kernel's clock."""


def stamp_of(path: str) -> Stamp:
    """Return the stamp of what path leads to; links are followed."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


class WatchedFiles:
    """Paths whose contents were read, and their stamps from before they were read."""

    def __init__(self) -> None:
        self._stamps: dict[str, Stamp] | None = None
        self._unsettled = False

    def changed(self) -> bool:
        """Say whether any of them changed, came or went since watch was called, or it never was."""
        if self._stamps is None or self._unsettled:
            return True
        return any(stamp_of(path) != stamp for path, stamp in self._stamps.items())

    def forget(self) -> None:
        """Take them for changed: they could not be read."""
        self._stamps = None

    def watch(self, paths: Iterable[str]) -> None:
        """Take note of the paths that are about to be read, in place of those before."""
        self._stamps = {path: stamp_of(path) for path in paths}
        newest = time.time_ns() - _SETTLED_NS
        self._unsettled = any(stamp is not None and stamp[1] > newest for stamp in self._stamps.values())
