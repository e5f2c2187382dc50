"""The processes as psutil sees them: for macOS, Windows and the BSDs, and on Linux with --backend psutil."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from safetytwin.collectors.base import Look
from safetytwin.collectors.psutil_loader import Portable
from safetytwin.collectors.rates import percent
from safetytwin.models.fields import count
from safetytwin.models.process import Connection, IoCounters, MemoryInfo, OpenFile, Process
from safetytwin.models.timestamps import timestamp

T = TypeVar("T")
_COMM_BYTES = 15
"""Linux keeps no more of a program's name; psutil completes it from the command line. Kernel threads' are whole."""
_KTHREADD = 2


@dataclass(slots=True)
class _Known:
    """A process of the look before."""

    handle: Any
    created: float
    cpu_seconds: float | None = None
    read_at: float = 0.0


class PortableProcesses(Portable):
    """Asks psutil for each process at each look; handles live as long as their process."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[int, _Known] = {}

    def collect(self, look: Look) -> list[Process]:
        """Return the processes by pid; one that ends meanwhile is left out and counted in look."""
        total = self._psutil.virtual_memory().total
        connections = self._connections(look)
        known: dict[int, _Known] = {}
        processes: list[Process] = []
        for pid in self._psutil.pids():
            try:
                before = self._handle(pid)
                processes.append(self._process(before, look, total, connections))
            except self._psutil.NoSuchProcess:
                look.vanished += 1
            except self._psutil.AccessDenied:
                look.notes.append(f"process {pid} may not be read")
                look.hint = "run as root"
            else:
                known[pid] = before
        self._known = known
        return processes

    def close(self) -> None:
        """Let go of the processes."""
        self._known = {}

    def _handle(self, pid: int) -> _Known:
        known = self._known.get(pid)
        if known is not None and known.handle.is_running():
            return known
        handle = self._psutil.Process(pid)
        return _Known(handle, handle.create_time())

    def _ask(self, question: Callable[[], T]) -> T | None:
        """Return the answer, or None where it may not be had; NoSuchProcess is raised on."""
        try:
            return question()
        except (self._psutil.AccessDenied, self._psutil.ZombieProcess, NotImplementedError, OSError):
            return None

    def _process(
        self, known: _Known, look: Look, memory_total: int, connections: dict[int, list[Connection]] | None
    ) -> Process:
        handle = known.handle
        with handle.oneshot():
            status = self._ask(handle.status)
            zombie = status == self._psutil.STATUS_ZOMBIE
            name = self._ask(handle.name) or ""
            ppid = self._ask(handle.ppid)
            uids = self._ask(handle.uids) if hasattr(handle, "uids") else None
            memory = self._memory(handle)
            seconds, cpu_percent = self._cpu(known, look.monotonic)
            kernel_thread = (
                _KTHREADD in {handle.pid, ppid} and not uids.real if sys.platform == "linux" and uids else None
            )
            cmdline = self._ask(handle.cmdline)
            return Process(
                pid=handle.pid,
                start_ticks=round(known.created * 100),
                name=_comm(name) if sys.platform == "linux" and cmdline else name,
                ppid=count(ppid),
                exe=self._ask(handle.exe) or None,
                cmdline=[] if zombie or kernel_thread else cmdline,
                cwd=None if kernel_thread else self._ask(handle.cwd) or None,
                username=self._ask(handle.username),
                uid=None if uids is None else count(uids.real),
                status=status,
                create_time=timestamp(known.created),
                nice=_whole(self._ask(handle.nice)) if sys.platform != "win32" else None,
                kernel_thread=kernel_thread,
                cpu_percent=cpu_percent,
                cpu_seconds=seconds,
                memory_percent=None if memory is None else percent(memory.rss, memory_total),
                memory_info=memory,
                num_threads=count(self._ask(handle.num_threads)),
                num_fds=count(self._ask(handle.num_fds if hasattr(handle, "num_fds") else handle.num_handles)),
                io_counters=self._io(handle),
                open_files=self._open_files(handle) if look.options.open_files else None,
                connections=None if connections is None else connections.get(handle.pid, []),
                environment=self._ask(handle.environ) if look.options.environment else None,
            )

    def _cpu(self, known: _Known, now: float) -> tuple[float | None, float | None]:
        """Return CPU seconds since the start and percent of one core since the look before."""
        times = self._ask(known.handle.cpu_times)
        seconds = None if times is None else times.user + times.system
        share = None
        if seconds is not None and known.cpu_seconds is not None and now > known.read_at:
            share = round(max(0.0, 100 * (seconds - known.cpu_seconds) / (now - known.read_at)), 2)
        known.cpu_seconds, known.read_at = seconds, now
        return None if seconds is None else round(seconds, 2), share

    def _memory(self, handle: Any) -> MemoryInfo | None:
        memory = self._ask(handle.memory_info)
        if memory is None:
            return None
        names = ("rss", "vms", "shared", "text", "data")
        return MemoryInfo(**{name: count(getattr(memory, name, None)) for name in names})

    def _io(self, handle: Any) -> IoCounters | None:
        io = self._ask(handle.io_counters) if hasattr(handle, "io_counters") else None
        if io is None:
            return None
        names = ("read_count", "write_count", "read_bytes", "write_bytes", "read_chars", "write_chars")
        return IoCounters(**{name: count(getattr(io, name, None)) for name in names})

    def _open_files(self, handle: Any) -> list[OpenFile] | None:
        files = self._ask(handle.open_files)
        # Windows has no descriptors: psutil writes -1
        return None if files is None else [OpenFile(fd=max(0, each.fd), path=each.path) for each in files]

    def _connections(self, look: Look) -> dict[int, list[Connection]] | None:
        """Return TCP and UDP sockets by process; None where they may not be listed (macOS without root)."""
        try:
            sockets = self._psutil.net_connections(kind="inet")
        except (self._psutil.AccessDenied, OSError):
            look.notes.append("sockets may not be listed")
            look.hint = "run as root"
            return None
        found: dict[int, list[Connection]] = {}
        for each in sockets:
            if each.pid is None:
                continue
            local, remote = each.laddr or ("", None), each.raddr or ("", None)
            found.setdefault(each.pid, []).append(
                Connection(
                    family="ipv6" if each.family.name == "AF_INET6" else "ipv4",
                    type="tcp" if each.type.name == "SOCK_STREAM" else "udp",
                    local_address=local[0] or None,
                    local_port=local[1],
                    remote_address=remote[0] or None,
                    remote_port=remote[1],
                    status=None if each.status == self._psutil.CONN_NONE else each.status,
                )
            )
        return found


def _comm(name: str) -> str:
    return name.encode("utf-8", "surrogateescape")[:_COMM_BYTES].decode("utf-8", "replace")


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)
