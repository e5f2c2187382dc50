"""What a control group uses and may use: cgroup v1, v2 and hybrid.

Sources: kernel Documentation/admin-guide/cgroup-v2.rst, Documentation/admin-guide/cgroup-v1/, proc_pid_mountinfo(5).
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from safetytwin.collectors.host_root import HostRoot, read_bytes
from safetytwin.models.fields import count

REREAD_PAUSE = 30.0
"""Seconds between two readings of the mounts, however many control groups are not found meanwhile."""

UNIFIED = ""
"""The name under which the v2 hierarchy stands among the v1 controllers."""

CONTROLLERS = frozenset(("cpu", "cpuacct", "memory", "blkio", "pids", UNIFIED))

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CgroupUsage:
    """What a control group and those below it use: bytes, seconds, counts; null where its controller isn't there."""

    cpu_seconds: float | None = None
    memory: int | None = None
    """In use, page cache that is reclaimable at once (inactive_file) taken off."""
    memory_limit: int | None = None
    cpus_limit: float | None = None
    pids_limit: int | None = None
    tasks: int | None = None
    read_bytes: int | None = None
    write_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class _Mount:
    """Where a hierarchy is mounted, and which of its groups is seen there."""

    point: str
    root: str


class CgroupReader:
    """Reads the files of control groups; the hierarchies are looked up once, and again where a group isn't found."""

    def __init__(self, root: HostRoot) -> None:
        self._root = root
        self._mounts: dict[str, _Mount] = {}
        self._mounts_read: float | None = None
        self._stacked: dict[bytes, bool] = {}

    def usage(self, path: str, before: CgroupUsage | None = None) -> CgroupUsage | None:
        """Return what the group at path uses, or None where it is gone, out of sight or path is none.

        path is as in /proc/PID/cgroup or a unit's ControlGroup. With before, what was returned for the same path
        earlier: before itself is returned where the group has had no CPU since, and its limits are taken over; ask
        without it now and then, for memory is reclaimed and limits are set from outside.
        """
        if not _is_cgroup_path(path):
            return None
        if self._mounts_read is None:
            self._read_mounts()
        usage = self._usage(self._directories(path), before)
        if usage is None and self._reread_mounts():
            usage = self._usage(self._directories(path), before)
        return usage

    def _directories(self, path: str) -> dict[str, str]:
        """Return where the group's folder would be in each hierarchy, by controller."""
        below = ((controller, mount.point, _below(path, mount.root)) for controller, mount in self._mounts.items())
        return {controller: point + rest for controller, point, rest in below if rest is not None}

    def _reread_mounts(self) -> bool:
        if self._mounts_read is not None and time.monotonic() - self._mounts_read < REREAD_PAUSE:
            return False
        return self._read_mounts()

    def _read_mounts(self) -> bool:
        """Read the mounts of this process, or of PID 1 where /proc is another PID namespace's; say if they changed."""
        self._mounts_read = time.monotonic()
        before = self._mounts
        for who in ("self", "1"):
            try:
                data = read_bytes(os.path.join(self._root.proc, who, "mountinfo"))
            except OSError:
                continue
            self._mounts = {
                controller: _Mount(self._on_this_root(point), root)
                for controller, (point, root) in parse_cgroup_mounts(data).items()
            }
            break
        return self._mounts != before

    def _on_this_root(self, point: str) -> str:
        if point == "/sys" or point.startswith("/sys/"):
            return self._root.sys + point[4:]
        return self._root.root.rstrip("/") + point

    def _cpu_seconds(self, directories: dict[str, str]) -> float | None:
        if (v1 := directories.get("cpuacct")) is not None:
            nanoseconds = _parsed(v1, "cpuacct.usage", parse_number)
            if nanoseconds is not None:
                return nanoseconds / 1e9
        microseconds = _parsed(directories.get(UNIFIED), "cpu.stat", lambda data: parse_field(data, b"usage_usec"))
        return None if microseconds is None else microseconds / 1e6

    def _usage(self, directories: dict[str, str], before: CgroupUsage | None) -> CgroupUsage | None:
        cpu_seconds = self._cpu_seconds(directories)
        if before is not None and cpu_seconds is not None and cpu_seconds == before.cpu_seconds:
            return before
        unified = directories.get(UNIFIED)
        pids = directories.get("pids", unified)
        read, written = self._io(directories)
        usage = CgroupUsage(
            cpu_seconds=cpu_seconds,
            memory=_memory(directories),
            memory_limit=before.memory_limit if before else _memory_limit(directories),
            cpus_limit=before.cpus_limit if before else _cpus_limit(directories),
            pids_limit=before.pids_limit if before else _parsed(pids, "pids.max", parse_number),
            tasks=_parsed(pids, "pids.current", parse_number),
            read_bytes=read,
            write_bytes=written,
        )
        complete = None not in (usage.cpu_seconds, usage.memory, usage.tasks, usage.read_bytes)
        if complete or any(os.path.isdir(directory) for directory in directories.values()):
            return usage
        return None

    def _io(self, directories: dict[str, str]) -> tuple[int | None, int | None]:
        if (v1 := directories.get("blkio")) is not None:
            for name in ("blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes"):
                totals = _parsed(v1, name, lambda data: parse_blkio(data, self._is_stacked))
                if totals is not None:
                    return totals
        totals = _parsed(directories.get(UNIFIED), "io.stat", lambda data: parse_io_stat(data, self._is_stacked))
        return totals if totals is not None else (None, None)

    def _is_stacked(self, device: bytes) -> bool:
        """Say whether a device (b"253:0") lies on others that are counted too (LVM, RAID, dm-crypt)."""
        known = self._stacked.get(device)
        if known is None:
            slaves = os.path.join(self._root.sys, "dev/block", device.decode("ascii"), "slaves")
            try:
                known = bool(os.listdir(slaves))
            except OSError:
                known = False
            if len(self._stacked) >= 4096:
                self._stacked.clear()
            self._stacked[device] = known
        return known


def _is_cgroup_path(path: str) -> bool:
    return path.startswith("/") and "\0" not in path and ".." not in path.split("/")


def _below(path: str, root: str) -> str | None:
    """Return path as seen at a mount that shows the hierarchy from root on; None where it lies outside of that."""
    if root == "/":
        return path if path != "/" else ""
    if path == root:
        return ""
    return path[len(root) :] if path.startswith(root + "/") else None


def _parsed(directory: str | None, name: str, parse: Callable[[bytes], T | None]) -> T | None:
    """Return what a file of a group says, or None where there is no such file, no right to it or no sense in it."""
    if directory is None:
        return None
    try:
        return parse(read_bytes(directory + "/" + name))
    except OSError:
        return None


def _memory(directories: dict[str, str]) -> int | None:
    if (v1 := directories.get("memory")) is not None:
        used, inactive = _parsed(v1, "memory.usage_in_bytes", parse_number), b"total_inactive_file"
        stat = v1
    else:
        stat = directories.get(UNIFIED, "")
        used, inactive = _parsed(stat or None, "memory.current", parse_number), b"inactive_file"
    if used is None:
        return None
    cache = _parsed(stat, "memory.stat", lambda data: parse_field(data, inactive))
    return None if cache is None else max(0, used - cache)


def _memory_limit(directories: dict[str, str]) -> int | None:
    if (v1 := directories.get("memory")) is not None:
        return _parsed(v1, "memory.limit_in_bytes", parse_number)
    return _parsed(directories.get(UNIFIED), "memory.max", parse_number)


def _cpus_limit(directories: dict[str, str]) -> float | None:
    if (v1 := directories.get("cpu")) is not None:
        quota = _parsed(v1, "cpu.cfs_quota_us", parse_number)
        period = _parsed(v1, "cpu.cfs_period_us", parse_number)
        return quota / period if quota is not None and period else None
    return _parsed(directories.get(UNIFIED), "cpu.max", parse_cpu_max)


def parse_cgroup_mounts(mountinfo: bytes) -> dict[str, tuple[str, str]]:
    """Return (mount point, root) of each v1 controller and of the v2 hierarchy (under "") in a mountinfo file.

    Of several mounts of one hierarchy the one that shows most of it counts: the one with the shortest root.
    """
    mounts: dict[str, tuple[str, str]] = {}
    for line in mountinfo.split(b"\n"):
        mount, separator, source = line.partition(b" - ")
        fields, kind = mount.split(b" "), source.split(b" ")
        if not separator or len(fields) < 6 or len(kind) < 3 or kind[0] not in (b"cgroup", b"cgroup2"):
            continue
        root, point = _unescaped(fields[3]), _unescaped(fields[4])
        if not _is_cgroup_path(root) or not point.startswith("/"):
            continue
        names = [UNIFIED] if kind[0] == b"cgroup2" else kind[2].decode("ascii", "replace").split(",")
        for name in names:
            if name not in CONTROLLERS:
                continue
            if name not in mounts or len(root) < len(mounts[name][1]):
                mounts[name] = (point, root)
    return mounts


def _unescaped(field: bytes) -> str:
    for escaped, plain in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
        field = field.replace(escaped, plain)
    return os.fsdecode(field)


def parse_number(data: bytes) -> int | None:
    """Return a file's one number; None for max, for -1 and for what is too big to be meant (v1: 2^63 less a page)."""
    text = data.strip()
    return count(int(text)) if text.isdigit() and len(text) < 20 else None


def parse_field(data: bytes, name: bytes) -> int | None:
    """Return the number behind name in a flat keyed file such as cpu.stat or memory.stat."""
    wanted = b"\n" + name + b" "
    data = b"\n" + data
    start = data.find(wanted)
    if start < 0:
        return None
    start += len(wanted)
    end = data.find(b"\n", start)
    return parse_number(data[start : end if end >= 0 else len(data)])


def parse_cpu_max(data: bytes) -> float | None:
    """Return the quota of cpu.max ("50000 100000", "max 100000") in CPUs; None for max."""
    parts = data.split()
    if len(parts) != 2:
        return None
    quota, period = parse_number(parts[0]), parse_number(parts[1])
    return quota / period if quota is not None and period else None


def parse_io_stat(data: bytes, is_stacked: Callable[[bytes], bool]) -> tuple[int, int] | None:
    """Return bytes read and written as io.stat has them ("8:0 rbytes=1 wbytes=2 …"), stacked devices left out.

    An empty file is a group that has done no I/O; None where a line makes no sense.
    """
    read = written = 0
    for line in data.split(b"\n"):
        parts = line.split()
        if len(parts) < 2 or not _is_device(parts[0]) or is_stacked(parts[0]):
            continue
        for part in parts[1:]:
            name, _, text = part.partition(b"=")
            value = parse_number(text) if name in (b"rbytes", b"wbytes") else 0
            if value is None:
                return None
            if name == b"rbytes":
                read += value
            elif name == b"wbytes":
                written += value
    return _both(read, written)


def parse_blkio(data: bytes, is_stacked: Callable[[bytes], bool]) -> tuple[int, int] | None:
    """Return bytes read and written as blkio.throttle.io_service_bytes has them, stacked devices left out."""
    totals = {b"Read": 0, b"Write": 0}
    for line in data.split(b"\n"):
        parts = line.split()
        if len(parts) != 3 or parts[1] not in totals or not _is_device(parts[0]) or is_stacked(parts[0]):
            continue
        value = parse_number(parts[2])
        if value is None:
            return None
        totals[parts[1]] += value
    return _both(totals[b"Read"], totals[b"Write"])


def _both(read: int, written: int) -> tuple[int, int] | None:
    return None if count(read) is None or count(written) is None else (read, written)


def _is_device(text: bytes) -> bool:
    major, _, minor = text.partition(b":")
    return major.isdigit() and minor.isdigit()
