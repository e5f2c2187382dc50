"""What /proc/PID/maps says: the files a process has mapped, and which of them are deleted (proc_pid_maps(5))."""

import re
from typing import NamedTuple

from safetytwin.collectors.host_root import text_of

_LINE = re.compile(rb"^([0-9a-f-]+) ..(.). \S+ \S+ (\d+) +(/.*)$", re.MULTILINE)
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
    """Bytes mapped, all its ranges; 0 for programs and libraries, where it is not counted."""
    span: bytes
    """Its first range, begin-end in hexadecimal."""

    @property
    def link(self) -> str:
        """Its first range as /proc/PID/map_files names it: without the leading zeros of maps."""
        begin, _, end = self.span.partition(b"-")
        return f"{int(begin or b'0', 16):x}-{int(end or b'0', 16):x}"


def parse_maps(data: bytes) -> list[MappedFile]:
    """Return each mapped file once, in order of address; shared memory and devices are left out."""
    found: dict[bytes, list[bytes]] = {}
    programs: set[bytes] = set()
    for span, executable, inode, path in _LINE.findall(data):
        if executable == b"x":
            programs.add(path)
        if inode != b"0":
            found.setdefault(path, []).append(span)
    files = []
    for raw, spans in found.items():
        if raw.startswith((b"/dev/", b"/memfd:", b"/SYSV", b"/anon_hugepage", b"/i915")):
            continue
        path = text_of(raw)
        if "\\" in path:
            path = _OCTAL.sub(lambda octal: chr(int(octal[1], 8)), path)  # the kernel writes a newline as \012
        deleted = path.endswith(_DELETED)
        executable = raw in programs
        size = 0 if executable else sum(map(_length, spans))
        files.append(MappedFile(path.removesuffix(_DELETED), deleted, executable, size, spans[0]))
    return files


def _length(span: bytes) -> int:
    begin, _, end = span.partition(b"-")
    return int(end or b"0", 16) - int(begin or b"0", 16)
