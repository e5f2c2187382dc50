"""What /proc/PID/maps says: the files a process has mapped, and which of them are deleted (proc_pid_maps(5))."""

import re
from typing import NamedTuple

from safetytwin.collectors.host_root import text_of

_LINE = re.compile(
    rb"^([0-9a-f]+)-([0-9a-f]+) ([-r][-w][-x][-ps]) [0-9a-f]+ [0-9a-f]+:[0-9a-f]+ (\d+) +(/[^\n]*)$", re.MULTILINE
)
_DELETED = " (deleted)"
_OCTAL = re.compile(r"\\(0[0-7]{2}|1[0-3][0-7])")


class MappedFile(NamedTuple):
    """One file as a process maps it."""

    path: str
    """As the process's root sees it."""
    deleted: bool
    executable: bool
    """Some part of it is mapped to be executed: a program or a library."""
    size: int
    """Bytes mapped, all its ranges."""
    range: str
    """Its first range as /proc/PID/map_files names it."""


def parse_maps(data: bytes) -> list[MappedFile]:
    """Return each mapped file once, in order of address; shared memory and devices are left out."""
    found: dict[bytes, tuple[bool, int, bytes]] = {}
    for match in _LINE.finditer(data):
        begin, end, mode, inode, path = match.groups()
        if inode == b"0":
            continue
        size = int(end, 16) - int(begin, 16)
        before = found.get(path)
        if before is None:
            span = b"%x-%x" % (int(begin, 16), int(end, 16))
            found[path] = (mode[2:3] == b"x", size, span)
        else:
            found[path] = (before[0] or mode[2:3] == b"x", before[1] + size, before[2])
    files = []
    for raw, (executable, size, span) in found.items():
        if raw.startswith((b"/dev/", b"/memfd:", b"/SYSV", b"/anon_hugepage", b"/i915")):
            continue
        path = text_of(raw)
        if "\\" in path:
            path = _OCTAL.sub(lambda octal: chr(int(octal[1], 8)), path)  # the kernel writes a newline as \012
        deleted = path.endswith(_DELETED)
        files.append(MappedFile(path.removesuffix(_DELETED), deleted, executable, size, span.decode()))
    return files
