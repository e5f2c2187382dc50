"""Where a host's files lie, so that a fixture tree can stand in for a host."""

import os
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class HostRoot:
    """The folders below which collectors read; no collector names /proc, /sys or /etc by itself."""

    proc: str = "/proc"
    sys: str = "/sys"
    etc: str = "/etc"
    run: str = "/run"
    dev: str = "/dev"
    var: str = "/var"
    root: str = "/"
    live: bool = field(default=True)
    """False for a fixture tree: what only a living kernel answers (sysconf, statvfs, netlink) is then not asked."""

    @classmethod
    def fixture(cls, path: str) -> "HostRoot":
        """Return the root of a fixture tree with proc/, sys/, etc/, run/, dev/ and var/ inside path."""
        parts = {name: os.path.join(path, name) for name in ("proc", "sys", "etc", "run", "dev", "var")}
        return cls(**parts, root=path, live=False)


# Never wait for a pipe that someone put where a file should be; Windows has neither flag.
_READ = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)


def read_bytes(path: str, limit: int = 16 * 1024 * 1024) -> bytes:
    """Return what a file of /proc or /sys holds, read to its end (LXC gives short reads), at most limit bytes.

    Raises OSError as open and read do.
    """
    descriptor = os.open(path, _READ)
    try:
        chunk = os.read(descriptor, 8192)
        if len(chunk) == 0:
            return chunk
        rest = os.read(descriptor, 65536)
        if not rest:
            return chunk
        parts = [chunk, rest]
        size = len(chunk) + len(rest)
        while size < limit:
            rest = os.read(descriptor, 65536)
            if not rest:
                break
            parts.append(rest)
            size += len(rest)
        return b"".join(parts)[:limit]
    finally:
        os.close(descriptor)


def text_of(data: bytes) -> str:
    """Return data as text; what is not UTF-8 becomes U+FFFD here, at the source, so that it never drops a batch."""
    return data.decode("utf-8", "replace")


def read_text(path: str) -> str:
    """Return a file's text; raises OSError."""
    return text_of(read_bytes(path))


def read_line(path: str) -> str | None:
    """Return a one-line file's text without surrounding white space, or None where it can't be read or is empty."""
    try:
        return read_text(path).strip() or None
    except OSError:
        return None


def read_int(path: str) -> int | None:
    """Return a file's whole number, or None where there is none."""
    line = read_line(path)
    if line is None:
        return None
    try:
        return int(line)
    except ValueError:
        return None


def list_dir(path: str) -> list[str]:
    """Return a folder's entries, sorted; [] where it can't be read."""
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []
