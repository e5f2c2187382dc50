"""One process through the looks: what is known of it, what is read again and when.

Everything read here is either provably unchanged (the process has not run), or read again within a promised number of
looks; docs/look-cost.md has the promises.
"""

import os
import time
from collections.abc import Mapping

from safetytwin.collectors.host_root import text_of
from safetytwin.collectors.ownership import cgroup_path, owner_of
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
    KeptFiles,
    is_full,
    link_or_none,
    read_file,
    read_links,
)
from safetytwin.collectors.users import Users
from safetytwin.models.fields import count
from safetytwin.models.process import Connection, IoCounters, MemoryInfo, OpenFile, Process
from safetytwin.models.timestamps import timestamp

RECHECK_LOOKS = 6
"""After a process ran, what it may have changed of itself unseen is read again at most this many looks later."""
LIGHT_LOOKS = 30
"""What others change in a process (nice, control group, memory reclaimed) is seen at most this many looks later."""
WHOLE_LOOKS = 180
"""Everything is read again at most this many looks after it was read."""
_NEVER = 1 << 62


class Machine:
    """What reading a process needs to know of the machine."""

    def __init__(self, proc: str, etc: str, files: KeptFiles) -> None:
        self.proc = proc
        self.files = files
        self.own_pid = os.getpid()
        self.users = Users(etc)
        self.clock_ticks = 100
        self.page_size = 4096
        self.memory: int | None = None
        """Bytes of memory."""
        self.boot_time: float | None = None
        """When the machine started, in seconds since 1970."""
        self.schedstat = False
        self.size_counts_descriptors = False
        self.network_namespace: str | None = None
        self.want_sockets = False
        self.want_open_files = False
        self.want_environment = False
        self._owners: dict[bytes, tuple[str | None, str | None]] = {}

    def owner(self, cgroup: bytes) -> tuple[str | None, str | None]:
        """Return (control group path, key of the owning unit or container) for the bytes of a cgroup file."""
        known = self._owners.get(cgroup)
        if known is None:
            if len(self._owners) > 4096:
                self._owners.clear()
            text = text_of(cgroup)
            owner = owner_of(text)
            known = self._owners[cgroup] = (cgroup_path(text), owner.key if owner is not None else None)
        return known


class Malformed(Exception):  # noqa: N818 - a finding, not an error of ours
    """The kernel's answer for a process cannot be understood."""


class Tracked:
    """A process that is looked at again and again."""

    __slots__ = (
        "_machine",
        "base",
        "cgroup_raw",
        "cmdline",
        "cmdline_cut",
        "connections",
        "cpu_percent",
        "cpu_ticks",
        "create_time",
        "cwd",
        "denied",
        "due",
        "environment",
        "exe",
        "exe_deleted",
        "gate",
        "gate_file",
        "gate_is_stat",
        "gate_size",
        "hot_files",
        "io",
        "io_raw",
        "light_at",
        "memory",
        "num_fds",
        "open_files",
        "owner",
        "pid",
        "process",
        "ran_at",
        "read_at",
        "recheck_at",
        "same_network",
        "sockets",
        "stat",
        "stat_raw",
        "statm_raw",
        "swap",
        "uid",
        "username",
        "whole_at",
    )

    def __init__(self, machine: Machine, pid: int, look: int) -> None:
        """Read all of a process for the first time; raises GONE, Malformed, or another OSError where it is hidden."""
        self._machine = machine
        self.pid = pid
        self.base = f"{machine.proc}/{pid}/"
        self.hot_files: tuple[int, int, int] | None = None
        self.gate_file = -1
        self.gate_is_stat = True
        self.gate = b""
        self.denied = False
        self.io: IoCounters | None = None
        self.io_raw: bytes | None = None
        self.memory: MemoryInfo | None = None
        self.statm_raw: bytes | None = None
        self.num_fds: int | None = None
        self.sockets: tuple[int, ...] | None = None
        self.open_files: list[OpenFile] | None = None
        self.connections: list[Connection] | None = None
        self.environment: dict[str, str] | None = None
        self.cmdline: list[str] | None = None
        self.same_network = True
        self.cgroup_raw: bytes | None = None
        self.owner: tuple[str | None, str | None] = (None, None)
        self.cpu_percent: float | None = None
        self.swap: int | None = None
        try:
            self._open_gate(alone=machine.schedstat)
            self.read_at = time.monotonic()
            self.stat_raw = read_file(self.base + "stat")
            self.stat = self._parsed(self.stat_raw)
            self.cpu_ticks = self.stat.cpu_ticks
            if self.stat.threads != 1 and not self.gate_is_stat:
                self._open_gate(alone=False)
                self.gate = self.stat_raw
            elif self.gate_is_stat:
                self.gate = self.stat_raw
            self.recheck_at = _NEVER
            self.ran_at = look
            self.light_at = look + 1 + pid % LIGHT_LOOKS
            self.whole_at = look + 1 + pid % WHOLE_LOOKS
            missing = self._read_all()
            if missing:
                read_file(self.base + "stat")  # raises GONE where that is why
        except BaseException:
            self.release()
            raise
        self.name_creation()
        self.due = look + 1
        self.process = self.build()

    # What is kept open.

    def _open_gate(self, *, alone: bool) -> None:
        """Keep the file whose bytes tell whether the process ran: schedstat of one thread alone, else stat.

        Without a kept descriptor it is stat, whose start ticks tell a reused pid.
        """
        files = self._machine.files
        files.give_back(self.gate_file)
        self.gate_file = -1
        self.gate_is_stat = True
        self.gate_size = 4096
        self.gate = b""
        self.gate_file = files.keep(self.base + ("schedstat" if alone else "stat"))
        if self.gate_file >= 0 and alone:
            self.gate_is_stat = False
            self.gate_size = 80  # three numbers of 20 digits at most; a small buffer is the cheaper one
            self.gate = os.pread(self.gate_file, 80, 0)

    def release(self) -> None:
        """Give all kept descriptors back; the process is then told by its stat, read by path."""
        self._machine.files.give_back(self.gate_file)
        self.gate_file = -1
        self.gate_is_stat = True
        self.gate = b""
        self.cool_down()

    def cool_down(self) -> None:
        """Give back the descriptors that are kept while a process runs in every look."""
        if self.hot_files is not None:
            for descriptor in self.hot_files:
                self._machine.files.give_back(descriptor)
            self.hot_files = None

    def read_gate(self) -> bytes:
        """Return the gate's bytes now; raises GONE where the process ended."""
        if self.gate_file >= 0:
            return os.pread(self.gate_file, self.gate_size, 0)
        return read_file(self.base + "stat")

    def descriptors_moved(self) -> bool:
        """Tell whether the number of descriptors changed, where asking is cheap."""
        if not self._machine.size_counts_descriptors or self.stat.kernel_thread:
            return False
        try:
            return os.stat(self.base + "fd").st_size != self.num_fds
        except OSError:
            return False

    def _read_hot(self, place: int, name: str) -> bytes:
        if self.hot_files is not None and self.hot_files[place] >= 0:
            return os.pread(self.hot_files[place], 4096, 0)
        return read_file(self.base + name)

    # Reading.

    def refresh(self, gate: bytes, look: int, unrun_since: float, *, ran: bool) -> None:
        """Read what may have changed, given what the gate says now; raises GONE where the process ended.

        unrun_since (monotonic seconds) is when the gates were read in the look before: a process whose gate was shut
        then had not run until then.
        """
        whole = look >= self.whole_at
        light = whole or look >= self.light_at
        if ran:
            if self.ran_at == look - 1 and self.hot_files is None:
                self._warm_up()
            self.ran_at = look
            if self.recheck_at == _NEVER:
                self.recheck_at = look + RECHECK_LOOKS - (look - self.pid) % RECHECK_LOOKS  # spread over the looks
        recheck = whole or look >= self.recheck_at or (light and self.gate_is_stat)
        now = time.monotonic()
        if ran or light:
            raw = gate if self.gate_is_stat else self._read_hot(0, "stat")
            replaced = self.take_stat(raw)
            self.gate = gate
            if (self.stat.threads == 1) == self.gate_is_stat and self._machine.schedstat and self.gate_file >= 0:
                self._open_gate(alone=self.stat.threads == 1)
                self.gate = b""
            if replaced:
                whole = light = recheck = True
        self._measure_cpu(now, unrun_since)
        missing = False
        if whole:
            missing = self._read_all()
        elif ran or light or recheck:
            missing = self._read_moving(ran=ran, recheck=recheck, light=light)
        if missing:
            read_file(self.base + "stat")
        if recheck:
            self.recheck_at = _NEVER
        if light:
            self.light_at = look + LIGHT_LOOKS
            if self.hot_files is not None and self.ran_at < look - LIGHT_LOOKS:
                self.cool_down()
        if whole:
            self.whole_at = look + WHOLE_LOOKS
        settled = self.cpu_percent == 0.0
        self.due = min(self.light_at, self.whole_at, self.recheck_at) if settled else look + 1
        self.rebuild()

    def reread_parent(self) -> None:
        """Read whose child the process is now; raises GONE where it ended."""
        if self.take_stat(read_file(self.base + "stat")):
            self.whole_at = self.due = 0  # another program by now: all of it is read in the next look
        self.rebuild()

    def _warm_up(self) -> None:
        keep, base = self._machine.files.keep, self.base
        kept = []
        for name in ("stat", "statm", "io"):
            try:
                kept.append(keep(base + name))
            except OSError:
                kept.append(-1)
        self.hot_files = (kept[0], kept[1], kept[2])

    def _parsed(self, raw: bytes) -> Stat:
        stat = parse_stat(raw)
        if stat is None or stat.start_ticks < 0 or count(stat.start_ticks) is None:
            raise Malformed(self.base + "stat")
        return stat

    def take_stat(self, raw: bytes) -> bool:
        """Take a new stat; return whether another program runs in the process now."""
        if raw == self.stat_raw:
            return False
        stat = self._parsed(raw)
        if stat.start_ticks != self.stat.start_ticks:
            raise ProcessLookupError(self.base)
        replaced = stat.fingerprint != self.stat.fingerprint
        self.stat, self.stat_raw = stat, raw
        return replaced

    def _measure_cpu(self, now: float, unrun_since: float) -> None:
        used = self.stat.cpu_ticks - self.cpu_ticks
        elapsed = now - max(self.read_at, unrun_since)
        self.cpu_ticks = self.stat.cpu_ticks
        self.read_at = now
        if elapsed > 0 and used >= 0:
            self.cpu_percent = round(100 * used / self._machine.clock_ticks / elapsed, 2)
        else:
            self.cpu_percent = None

    def _read_moving(self, *, ran: bool, recheck: bool, light: bool) -> bool:
        """Read what moves when a process runs; return whether a file was missing."""
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
        if recheck or counted != self.num_fds:
            self.read_descriptors()
        return missing

    def _read_all(self) -> bool:
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
            self.same_network = link_or_none(base + "ns/net") in {None, machine.network_namespace}
        self._count_descriptors()
        self.read_descriptors()
        return missing

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
        if swap != self.swap:
            self.swap = swap
            self.statm_raw = None
        self.uid = uid
        self.username = self._machine.users.name_of(uid)
        return raw is None

    def _read_arguments(self) -> bool:
        if self.stat.kernel_thread:
            self.cmdline, self.cmdline_cut = [], False
            return False
        raw = self._read("cmdline", CMDLINE_LIMIT + 1)
        self.cmdline_cut = raw is not None and len(raw) > CMDLINE_LIMIT
        self.cmdline = parse_cmdline(raw[:CMDLINE_LIMIT]) if raw is not None else None
        return raw is None

    def _read_cgroup(self) -> bool:
        raw = self._read("cgroup")
        if raw != self.cgroup_raw:
            self.cgroup_raw = raw
            self.owner = self._machine.owner(raw) if raw is not None else (None, None)
        return raw is None

    def _read_memory(self) -> bool:
        try:
            raw = self._read_hot(1, "statm")
        except GONE:
            self.memory = self.statm_raw = None
            return True
        if raw != self.statm_raw:
            self.statm_raw = raw
            self.memory = parse_statm(raw, self._machine.page_size, self.swap)
        return False

    def _read_io(self) -> None:
        try:
            raw = self._read_hot(2, "io")
        except OSError as error:
            if is_full(error):
                raise
            self.denied = self.denied or isinstance(error, PermissionError)
            self.io = self.io_raw = None
            return
        if raw != self.io_raw:
            self.io_raw = raw
            self.io = parse_io(raw)

    def _read_exe(self) -> None:
        self.exe = self.exe_deleted = None
        if self.stat.kernel_thread:
            return
        try:
            link = text_of(os.fsencode(os.readlink(self.base + "exe")))
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
            return
        inodes = (socket_inode(link) for _, link in links if link.startswith("socket:"))
        self.sockets = tuple(dict.fromkeys(inode for inode in inodes if inode is not None))
        if machine.want_open_files:
            self.open_files = [OpenFile(number, link) for number, link in links if link.startswith("/")]

    def connect(self, table: Mapping[int, Connection] | None) -> bool:
        """Take the connections from the sockets of the machine; return whether they changed."""
        found: list[Connection] | None = None
        if table is not None and self.sockets is not None:
            found = [table[inode] for inode in self.sockets if inode in table]
            if not found and not self.same_network:
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
            cgroup=self.owner[0],
            service=self.owner[1],
            extra={"cmdline_cut": True} if self.cmdline_cut else None,
        )
