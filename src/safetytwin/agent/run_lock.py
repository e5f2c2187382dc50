"""One reporting agent for one state directory: two would use one identity and one spool."""

import contextlib
import os
from collections.abc import Iterator


class AlreadyReportingError(Exception):
    """Another agent reports from this state directory."""


@contextlib.contextmanager
def run_lock(directory: str) -> Iterator[None]:
    """Hold the directory until the end of the block; raises AlreadyReportingError and OSError.

    The lock ends with the process, however that ends. Where the system has no flock (Windows) nothing is held.
    """
    try:
        import fcntl  # noqa: PLC0415 - not everywhere
    except ImportError:
        yield
        return
    descriptor = os.open(os.path.join(directory, "agent.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
            raise AlreadyReportingError(
                f"another agent (process {holder}) reports from {directory} already; stop it, or give this one an "
                "identity of its own with --state-directory DIR"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
