"""Reads the files of /proc/PID, through kept descriptors where there is room for them.

A pread of a kept descriptor costs a third to a tenth of open, read and close. A kept descriptor of a process that ended
answers ESRCH, and never reads a process that was given the same pid.
"""

import errno
import os
import resource
import sys
from collections.abc import Collection

from safetytwin.collectors.host_root import text_of

WANTED_DESCRIPTORS = 32768
"""What the soft limit of open files is raised to, as far as the hard limit allows."""
RESERVE = 512
"""Descriptors left to the rest of the program, at most half of the limit."""
_FULL = {errno.EMFILE, errno.ENFILE}
GONE = (FileNotFoundError, ProcessLookupError)
"""What reading a process that ended raises."""


class KeptFiles:
    """A budget of descriptors that are kept open."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self.kept: set[int] = set()
        self.starved = False
        """Set where a descriptor was needed and there was none; the owner then gives all of its own back."""

    @classmethod
    def within_limit(cls) -> "KeptFiles":
        """Return a budget from the limit of open files, whose soft value is raised first."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = WANTED_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, WANTED_DESCRIPTORS)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
                soft = wanted
            except (OSError, ValueError):
                pass  # a sandbox may forbid it; the limit stays what it is
        limit = WANTED_DESCRIPTORS if soft == resource.RLIM_INFINITY else min(soft, WANTED_DESCRIPTORS)
        return cls(max(limit - RESERVE, limit // 2))

    def keep(self, path: str) -> int:
        """Return a descriptor of path that stays open, or -1 where there is no room; raises OSError as open does."""
        if len(self.kept) >= self._budget:
            return -1
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            self.starved = True
            return -1
        self.kept.add(descriptor)
        return descriptor

    def has_room(self) -> bool:
        """Tell whether another descriptor may be kept."""
        return len(self.kept) < self._budget

    def give_back(self, descriptor: int) -> None:
        """Close a kept descriptor; -1 is none."""
        if descriptor >= 0:
            os.close(descriptor)
            self.kept.discard(descriptor)

    def recover(self, kept: int) -> None:
        """Keep half as many as were kept when there were none left, after the owner gave them all back."""
        self.starved = False
        self._budget = kept // 2


def is_full(error: OSError) -> bool:
    """Tell whether an error means that there are no descriptors left, in this process or the system."""
    return error.errno in _FULL


def read_file(path: str, limit: int = 1 << 20) -> bytes:
    """Return at most limit bytes of a file of /proc/PID; raises OSError.

    These files answer a read in full, so that a short answer is the last one (unlike those that lxcfs stands in for).
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(descriptor, 4096)
        if len(data) < 4096:
            return data
        parts = [data]
        size = len(data)
        while size < limit:
            data = os.read(descriptor, min(65536, limit - size))
            if not data:
                break
            parts.append(data)
            size += len(data)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def link_or_none(path: str) -> str | None:
    """Return what a link of /proc points to, None where there is nothing or it may not be read."""
    try:
        return sys.intern(text_of(os.fsencode(os.readlink(path))))  # processes have few folders between them
    except OSError:
        return None


def read_links(folder: str, without: Collection[int] = ()) -> list[tuple[int, str]] | None:
    """Return (descriptor, what it points to) of a PID/fd folder; None where it may not be read or is gone.

    Descriptors closed meanwhile are left out, and those of without. Raises OSError where there is no descriptor left
    to read with.
    """
    try:
        names = os.listdir(folder)
    except OSError as error:
        if is_full(error):
            raise
        return None
    numbers = {int(name) for name in names if name.isdecimal()}.difference(without)
    links = []
    readlink = os.readlink
    for number in sorted(numbers):
        try:
            link = readlink(f"{folder}/{number}")
        except PermissionError:
            return None
        except OSError:
            continue
        links.append((number, link if link.isascii() else text_of(os.fsencode(link))))
    return links


def folder_size_counts_descriptors(proc: str) -> bool:
    """Tell whether st_size of a PID/fd folder is the number of descriptors, as of Linux 6.2."""
    try:
        return os.stat(f"{proc}/self/fd").st_size > 0
    except OSError:
        return False


def has_schedstat(proc: str) -> bool:
    """Tell whether PID/schedstat counts: without CONFIG_SCHED_INFO it is missing or says 0 0 0."""
    try:
        return read_file(f"{proc}/self/schedstat").split()[:1] not in ([], [b"0"])
    except OSError:
        return False
