"""One reporting agent for one state directory: two would use one identity and one spool."""

import os

from safetytwin.lock import FileLock, LockedError

NAME = "agent.lock"


class AlreadyReportingError(Exception):
    """Another agent reports from this state directory."""


def run_lock(directory: str) -> FileLock:
    """Hold the directory; raises AlreadyReportingError and OSError."""
    try:
        return FileLock(os.path.join(directory, NAME))
    except LockedError as error:
        raise AlreadyReportingError(
            f"another agent (process {error.holder}) reports from {directory} already; stop it, or give this one an "
            "identity of its own with --state-directory DIR"
        ) from None
