"""What is known of one process, how it is read, and the record made of it."""

import os
import sys
import time
from collections.abc import Mapping

from safetytwin.collectors.host_root import text_of
from safetytwin.collectors.process_machine import Machine
from safetytwin.collectors.process_parsing import (
    CMDLINE_LIMIT,
    Stat,
    parse_cmdline,
    parse_environment,
    parse_exe,
    parse_io,
    parse_stat,
    parse_statm,
    parse_status,
    socket_inode,
)
from safetytwin.collectors.process_reading import (
    GONE,
    is_full,
    link_or_none,
    read_file,
    read_links,
)
from safetytwin.models.fields import count
from safetytwin.models.process import Connection, IoCounters, MemoryInfo, OpenFile, Process
from safetytwin.models.timestamps import timestamp


class Malformed(Exception):  # noqa: N818 - a finding, not an error of ours
    """The kernel's answer for a process cannot be understood."""


class Facts:
    """What is known of a process."""

    __slots__ = (
        "_cgroup_raw",
        "_cmdline_cut",
        "_cpu_ticks",
        "_hot_files",
        "_io_raw",
        "_machine",
        "_read_at",
        "_same_network",
        "_socket_links",
        "_stat_raw",
        "_statm_raw",
        "_swap",
        "base",
        "cgroup",
        "cmdline",
        "connections",
        "cpu_percent",
        "create_time",
        "cwd",
        "denied",
        "environment",
        "exe",
        "exe_deleted",
        "io",
        "memory",
        "num_fds",
        "open_files",
        "pid",
        "process",
        "service",
        "sockets",
        "stat",
        "uid",
        "username",
    )

    def __init__(self, machine: Machine, pid: int) -> None:
        """Read all of a process for the first time; raises GONE, Malformed, or another OSError where it is hidden."""
        self._machine = machine
        self.pid = pid
        self.base = f"{machine.proc}/{pid}/"
        self._hot_files: tuple[int, int, int] | None = None
        self._cgroup_raw: bytes | None = None
        self._io_raw: bytes | None = None
        self._statm_raw: bytes | None = None
        self._swap: int | None = None
        self._same_network = True
        self.denied = False
        """It shows only a part of itself."""
        self.io: IoCounters | None = None
        self.memory: MemoryInfo | None = None
        self.num_fds: int | None = None
        self.sockets: tuple[int, ...] | None = None
        """Inodes of its sockets of any kind."""
        self._socket_links: list[tuple[int, str]] = []
        self.open_files: list[OpenFile] | None = None
        self.connections: list[Connection] | None = None
        self.environment: dict[str, str] | None = None
        self.cmdline: list[str] | None = None
        self.cgroup: str | None = None
        self.service: str | None = None
        self.cpu_percent: float | None = None
        self._read_at = time.monotonic()
        self._stat_raw = read_file(self.base + "stat")
        self.stat = self._parsed(self._stat_raw)
        self._cpu_ticks = self.stat.cpu_ticks
        self.read_all()
        self.name_creation()
        self.process = self.build()

    # Reading.

    def cool_down(self) -> None:
        """Give back the descriptors that are kept while a process runs in every look."""
        if self._hot_files is not None:
            for descriptor in self._hot_files:
                self._machine.files.give_back(descriptor)
            self._hot_files = None

    def warm_up(self) -> None:
        """Keep open what is read whenever the process runs."""
        keep, base = self._machine.files.keep, self.base
        kept = []
        for name in ("stat", "statm", "io"):
            try:
                kept.append(keep(base + name))
            except OSError:
                kept.append(-1)
        self._hot_files = (kept[0], kept[1], kept[2])

    def _read_hot(self, place: int, name: str) -> bytes:
        if self._hot_files is not None and self._hot_files[place] >= 0:
            return os.pread(self._hot_files[place], 4096, 0)
        return read_file(self.base + name)

    def _parsed(self, raw: bytes) -> Stat:
        stat = parse_stat(raw)
        if stat is None or stat.start_ticks < 0 or count(stat.start_ticks) is None:
            raise Malformed(self.base + "stat")
        return stat

    def take_stat(self, raw: bytes) -> bool:
        """Take a new stat; return whether another program runs in the process now."""
        if raw == self._stat_raw:
            return False
        stat = self._parsed(raw)
        if stat.start_ticks != self.stat.start_ticks:
            raise ProcessLookupError(self.base)
        replaced = stat.fingerprint != self.stat.fingerprint
        self.stat, self._stat_raw = stat, raw
        return replaced

    def measure_cpu(self, now: float, unrun_since: float) -> None:
        """Work out the CPU used since the last measurement; the process had not run until unrun_since, if later."""
        used = self.stat.cpu_ticks - self._cpu_ticks
        elapsed = now - max(self._read_at, unrun_since)
        self._cpu_ticks = self.stat.cpu_ticks
        self._read_at = now
        if elapsed > 0 and used >= 0:
            percent = 100 * used / self._machine.clock_ticks / elapsed
            self.cpu_percent = round(min(percent, self._machine.most_cpu_percent), 1)
        else:
            self.cpu_percent = None

    def read_moving(self, *, ran: bool, recheck: bool, light: bool, descriptors: bool) -> None:
        """Read what a process that ran, that is rechecked or that is lightly swept may have changed; raises GONE.

        Where descriptors is False a recheck reads only those again that were sockets, unless open files are wanted.
        """
        missing = False
        if recheck:
            missing = self._read_status() | self._read_arguments()
            self.cwd = link_or_none(self.base + "cwd")
        if light:
            missing |= self._read_cgroup()
            self._read_exe()
        missing |= self._read_memory()
        if ran:
            self._read_io()
        counted = self.num_fds
        self._count_descriptors()
        # The agent's own number moves with what it keeps; a socket that it opened is searched for like others'.
        moved = descriptors or (counted != self.num_fds and self.pid != self._machine.own_pid)
        if moved or (recheck and (self._machine.want_open_files or self._sockets_moved())):
            self.read_descriptors()
        if missing:
            read_file(self.base + "stat")  # raises GONE where that is why

    def read_all(self) -> None:
        """Read everything but stat; raises GONE where the process ended."""
        missing = self._read_status() | self._read_arguments()
        missing |= self._read_cgroup()
        missing |= self._read_memory()
        machine, base = self._machine, self.base
        self.denied = False
        self._read_exe()
        self.cwd = None if self.stat.kernel_thread else link_or_none(base + "cwd")
        self._read_io()
        if machine.want_environment:
            raw = self._read("environ")
            self.environment = parse_environment(raw) if raw is not None else None
        if machine.want_sockets and not self.stat.kernel_thread:
            self._same_network = link_or_none(base + "ns/net") in {None, machine.network_namespace}
        self._count_descriptors()
        self.read_descriptors()
        if missing:
            read_file(self.base + "stat")  # raises GONE where that is why

    def _read(self, name: str, limit: int = 1 << 20) -> bytes | None:
        """Return a file's bytes, None where it is missing or may not be read."""
        try:
            return read_file(self.base + name, limit)
        except OSError as error:
            if is_full(error):
                raise
            return None

    def _read_status(self) -> bool:
        raw = self._read("status")
        uid, swap = parse_status(raw) if raw is not None else (None, None)
        if swap != self._swap:
            self._swap = swap
            self._statm_raw = None
        self.uid = uid
        self.username = self._machine.users.name_of(uid)
        return raw is None

    def _read_arguments(self) -> bool:
        if self.stat.kernel_thread:
            self.cmdline, self._cmdline_cut = [], False
            return False
        raw = self._read("cmdline", CMDLINE_LIMIT + 1)
        self._cmdline_cut = raw is not None and len(raw) > CMDLINE_LIMIT
        cmdline = parse_cmdline(raw[:CMDLINE_LIMIT]) if raw is not None else None
        if cmdline != self.cmdline:  # the same object says that nothing changed
            self.cmdline = cmdline
        return raw is None

    def _read_cgroup(self) -> bool:
        raw = self._read("cgroup")
        if raw != self._cgroup_raw:
            if raw is None:
                self._cgroup_raw = self.cgroup = self.service = None
            else:
                self._cgroup_raw, self.cgroup, self.service = self._machine.owner(raw)
        return raw is None

    def _read_memory(self) -> bool:
        try:
            raw = self._read_hot(1, "statm")
        except GONE:
            self.memory = self._statm_raw = None
            return True
        if raw != self._statm_raw:
            self._statm_raw = raw
            self.memory = parse_statm(raw, self._machine.page_size, self._swap)
        return False

    def _read_io(self) -> None:
        try:
            raw = self._read_hot(2, "io")
        except OSError as error:
            if is_full(error):
                raise
            self.denied = self.denied or isinstance(error, PermissionError)
            self.io = self._io_raw = None
            return
        if raw != self._io_raw:
            self._io_raw = raw
            self.io = parse_io(raw)

    def _read_exe(self) -> None:
        self.exe = self.exe_deleted = None
        if self.stat.kernel_thread:
            return
        try:
            link = sys.intern(text_of(os.fsencode(os.readlink(self.base + "exe"))))
        except OSError as error:
            self.denied = self.denied or isinstance(error, PermissionError)
            return
        self.exe, self.exe_deleted = parse_exe(link)
        if self.exe_deleted and os.path.exists(link) and os.path.samefile(self.base + "exe", link):
            self.exe, self.exe_deleted = link, False  # a file whose name ends so

    def _count_descriptors(self) -> None:
        folder = self.base + "fd"
        try:
            if self._machine.size_counts_descriptors:
                self.num_fds = os.stat(folder).st_size
            else:
                self.num_fds = len(os.listdir(folder))
        except OSError as error:
            if is_full(error):
                raise
            self.num_fds = None

    def read_descriptors(self) -> None:
        """Read what the descriptors point to, as far as that is wanted."""
        machine = self._machine
        if not (machine.want_sockets or machine.want_open_files):
            return
        own = machine.files.kept if self.pid == machine.own_pid else ()
        links = read_links(self.base + "fd", without=own)
        if links is None:
            self.sockets = self.open_files = None
            self._socket_links = []
            return
        self._socket_links = [one for one in links if one[1].startswith("socket:")]
        inodes = (socket_inode(link) for _, link in self._socket_links)
        self.sockets = tuple(dict.fromkeys(inode for inode in inodes if inode is not None))
        if machine.want_open_files:
            self.open_files = [OpenFile(number, link) for number, link in links if link.startswith("/")]

    def _sockets_moved(self) -> bool:
        """Tell whether a descriptor that was a socket is another or none, or whether they are not known."""
        if self.sockets is None:
            return True
        try:
            return any(os.readlink(f"{self.base}fd/{number}") != link for number, link in self._socket_links)
        except OSError:
            return True

    def connect(self, table: Mapping[int, Connection] | None) -> bool:
        """Take the connections from the sockets of the machine; return whether they changed."""
        found: list[Connection] | None = None
        if table is not None and self.sockets is not None:
            found = [table[inode] for inode in self.sockets if inode in table]
            if not found and not self._same_network:
                found = None
        if found == self.connections:
            return False
        self.connections = found
        return True

    # The result.

    def name_creation(self) -> None:
        """Work out when the process started."""
        machine = self._machine
        if machine.boot_time is None:
            self.create_time = None
        else:
            self.create_time = timestamp(machine.boot_time + self.stat.start_ticks / machine.clock_ticks)

    def rename_owner(self) -> bool:
        """Take the owner's name anew; return whether it changed."""
        name = self._machine.users.name_of(self.uid)
        changed = name != self.username
        self.username = name
        return changed

    def rebuild(self) -> None:
        """Make the process's record anew; where nothing changed it stays the same object."""
        process = self.build()
        if process != self.process:
            self.process = process

    def build(self) -> Process:
        """Return the record of what is known."""
        stat, memory = self.stat, self.memory
        total = self._machine.memory
        rss = memory.rss if memory is not None else None
        return Process(
            pid=self.pid,
            start_ticks=stat.start_ticks,
            name=stat.name,
            ppid=count(stat.ppid),
            exe=self.exe,
            exe_deleted=self.exe_deleted,
            cmdline=self.cmdline,
            cwd=self.cwd,
            username=self.username,
            uid=self.uid,
            status=stat.status,
            create_time=self.create_time,
            nice=stat.nice,
            kernel_thread=stat.kernel_thread,
            cpu_percent=self.cpu_percent,
            cpu_seconds=stat.cpu_ticks / self._machine.clock_ticks,
            memory_percent=round(100 * rss / total, 3) if total and rss is not None else None,
            memory_info=memory,
            num_threads=count(stat.threads),
            num_fds=self.num_fds,
            io_counters=self.io,
            open_files=self.open_files,
            connections=self.connections,
            environment=self.environment,
            cgroup=self.cgroup,
            service=self.service,
            extra={"cmdline_cut": True} if self._cmdline_cut else None,
        )
