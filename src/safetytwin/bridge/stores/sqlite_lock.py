"""The lock that keeps a second process out of a store."""

import fcntl
import os
from pathlib import Path

from safetytwin.bridge.stores.base import StoreLockedError


def locked(path: Path) -> int:
    """Take the lock that keeps a second process out; returns its descriptor; raises StoreLockedError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise StoreLockedError(
            f"The store in {path.parent} is used by another process (pid {holder}): end it, or give another --data."
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor
