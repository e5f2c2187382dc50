"""A file that one process at a time holds."""

import os


class LockedError(Exception):
    """Another process holds the file; `holder` is what it wrote there: its process id, or unknown."""

    def __init__(self, path: str, holder: str) -> None:
        super().__init__(f"{path} is held by process {holder}")
        self.holder = holder


class FileLock:
    """Holds a file from when it is made until close() or the end of the process, however that ends.

    Raises LockedError where another process holds it, OSError where the file can't be opened. The file stays, for a
    lock on a name that another has made anew would keep nobody out. Where the system has no flock (Windows) nothing is
    held. Source: flock(2).
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._descriptor: int | None = None
        try:
            import fcntl  # noqa: PLC0415 - not everywhere
        except ImportError:
            return
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise LockedError(os.fspath(path), holder) from None
        except OSError:
            os.close(descriptor)
            raise
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def close(self) -> None:
        """Let the next process have it; harmless when done already."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> None:
        return None

    def __exit__(self, *error: object) -> None:
        self.close()
