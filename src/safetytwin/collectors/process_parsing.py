"""What the files of /proc/PID say: bytes in, values out (proc_pid_stat(5) and its neighbours)."""

import re
from typing import NamedTuple

from safetytwin.collectors.host_root import text_of
from safetytwin.models.fields import count
from safetytwin.models.process import IoCounters, MemoryInfo

CMDLINE_LIMIT = 256 * 1024
"""Bytes of a command line that are kept exactly; what is longer is cut there. Linux allows 128 KiB an argument."""
_KERNEL_THREAD = 0x00200000
_STATES = {
    b"R": "running",
    b"S": "sleeping",
    b"D": "disk-sleep",
    b"T": "stopped",
    b"t": "tracing-stop",
    b"Z": "zombie",
    b"X": "dead",
    b"x": "dead",
    b"I": "idle",
    b"P": "parked",
    b"K": "disk-sleep",
    b"W": "running",
}
"""The kernel's letters (fs/proc/array.c); K and W are those of Linux 2.6.33 to 3.13."""
_NO_IO = IoCounters()
_DELETED = " (deleted)"
_UID = re.compile(rb"^Uid:\t(\d+)", re.MULTILINE)
_SWAP = re.compile(rb"^VmSwap:\s*(\d+) kB", re.MULTILINE)
_SOCKET = re.compile(r"^socket:\[(\d{1,16})\]$")


class Stat(NamedTuple):
    """What stat says; times in clock ticks."""

    name: str
    status: str | None
    ppid: int
    kernel_thread: bool
    cpu_ticks: int
    nice: int
    threads: int
    start_ticks: int
    fingerprint: bytes
    """Changes with exec: the name and where stack and arguments lie, which address randomisation draws anew.

    Without permission these addresses read 0: then the name and the virtual size.
    """


def parse_stat(data: bytes) -> Stat | None:
    """Return what a stat file says, or None where it is malformed.

    The name runs from the first parenthesis to the last: it may hold spaces, parentheses, any byte.
    """
    opening, closing = data.find(b"("), data.rfind(b")")
    if opening < 0 or closing < opening:
        return None
    comm = data[opening + 1 : closing]
    fields = data[closing + 1 :].split()
    try:
        flags = int(fields[6])
        kernel_thread = bool(flags & _KERNEL_THREAD)
        return Stat(
            _kernel_thread_name(text_of(comm)) if kernel_thread else text_of(comm),
            _STATES.get(fields[0]),
            int(fields[1]),
            kernel_thread,
            int(fields[11]) + int(fields[12]),
            int(fields[16]),
            int(fields[17]),
            int(fields[19]),
            b" ".join((comm, fields[23], fields[25], *fields[45:48]) if fields[25] != b"0" else (comm, fields[20])),
        )
    except (ValueError, IndexError):
        return None


def _kernel_thread_name(name: str) -> str:
    """Return a kernel worker's name without the work it does at the moment: kworker/0:1-events is kworker/0:1."""
    if name.startswith("kworker/") and not name.startswith("kworker/R-"):
        return name.partition("-")[0].partition("+")[0]
    return name


def parse_statm(data: bytes, page_size: int, swap: int | None) -> MemoryInfo | None:
    """Return the memory that a statm file (pages) tells of, in bytes, with swap beside it; None where malformed."""
    fields = data.split()
    try:
        size, resident, shared, text, data_and_stack = (
            int(fields[0]) * page_size,
            int(fields[1]) * page_size,
            int(fields[2]) * page_size,
            int(fields[3]) * page_size,
            int(fields[5]) * page_size,
        )
    except (ValueError, IndexError):
        return None
    return MemoryInfo(count(resident), count(size), count(shared), count(text), count(data_and_stack), swap)


def parse_io(data: bytes) -> IoCounters | None:
    """Return what an io file says; a counter it does not hold, or that no state may hold, is None; None if all are."""
    words = data.split()
    values = dict(zip(words[::2], words[1::2], strict=False))
    counters = IoCounters(
        _number(values.get(b"syscr:")),
        _number(values.get(b"syscw:")),
        _number(values.get(b"read_bytes:")),
        _number(values.get(b"write_bytes:")),
        _number(values.get(b"rchar:")),
        _number(values.get(b"wchar:")),
    )
    return counters if counters != _NO_IO else None


def _number(word: bytes | None) -> int | None:
    return count(int(word)) if word is not None and word.isdigit() and len(word) < 24 else None


def parse_status(data: bytes) -> tuple[int | None, int | None]:
    """Return (real uid, bytes swapped out) of a status file; None for what it does not say."""
    uid, swap = _UID.search(data), _SWAP.search(data)
    return (
        count(int(uid[1][:20])) if uid is not None else None,
        count(int(swap[1][:20]) * 1024) if swap is not None else None,
    )


def parse_cmdline(data: bytes) -> list[str]:
    """Return the arguments exactly, empty ones too.

    A title written over the arguments (setproctitle) leaves NULs behind it: where nothing but NULs follows the first
    string, and it holds a space or at least four follow, they are taken for such padding, not for empty arguments.
    """
    if not data:
        return []
    title = data.rstrip(b"\0")
    padding = len(data) - len(title)
    if title and b"\0" not in title and (padding >= 4 or (padding >= 2 and b" " in title)):
        return [text_of(title)]
    arguments = data.split(b"\0")
    if not arguments[-1]:
        arguments.pop()
    return [text_of(argument) for argument in arguments]


def parse_environment(data: bytes) -> dict[str, str]:
    """Return the environment a process was started with; of a name given twice the first, as getenv answers."""
    environment: dict[str, str] = {}
    for item in data.split(b"\0"):
        name, separator, value = item.partition(b"=")
        if separator and name:
            environment.setdefault(text_of(name), text_of(value))
    return environment


def parse_exe(link: str) -> tuple[str, bool]:
    """Return an executable's path and whether the kernel says that it is deleted."""
    if link.endswith(_DELETED):
        return link.removesuffix(_DELETED), True
    return link, False


def socket_inode(link: str) -> int | None:
    """Return the inode of a descriptor that is a socket, from its link, socket:[4711]."""
    match = _SOCKET.match(link)
    return int(match[1]) if match is not None else None
