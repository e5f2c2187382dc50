"""Limits of the cgroup that the machine in view is inside of: a container's, and none on a plain machine.

Everything in view descends from PID 1, so its cgroup and those above it count, as far up as the mounted tree shows.
The agent's own unit may be limited too; that says nothing of the machine.
"""

import os
from collections.abc import Sequence

from safetytwin.collectors.host_root import HostRoot, read_bytes, read_int, read_line, text_of
from safetytwin.models.fields import count
from safetytwin.models.hardware import MemoryLimit

_FILES = {"cpu": ("cpu.max", "cpu.cfs_quota_us"), "memory": ("memory.max", "memory.limit_in_bytes")}
"""Of cgroup v2 and v1; the root of a whole machine's v2 tree has none."""
_NO_LIMIT = 1 << 62
"""cgroup v1 writes "no limit" as a number just below 2^63, rounded down to a page."""


def parse_cgroup_paths(data: bytes) -> dict[str, str]:
    """Return the path by controller of a /proc/PID/cgroup file (cgroups(7)); the unified hierarchy's key is ""."""
    paths: dict[str, str] = {}
    for line in text_of(data).splitlines():
        number, colon, rest = line.partition(":")
        controllers, second_colon, path = rest.partition(":")
        if not colon or not second_colon or not number.isdigit() or not path.startswith("/"):
            continue
        for controller in controllers.split(","):
            paths[controller] = path
    return paths


def limit_folders(root: HostRoot, controller: str) -> list[str]:
    """Return the folders in which limits of cpu or memory that hold for PID 1 can be, the outermost first."""
    try:
        paths = parse_cgroup_paths(read_bytes(os.path.join(root.proc, "1/cgroup")))
    except OSError:
        paths = {}
    tree = os.path.join(root.sys, "fs/cgroup")
    unified = os.path.exists(os.path.join(tree, "cgroup.controllers"))
    path = paths.get("" if unified else controller, "/")
    if "/.." in path:
        return []  # PID 1 lives outside of what our cgroup namespace shows
    folder = tree if unified else os.path.join(tree, controller)
    folders = [folder]
    for part in path.split("/"):
        if part:
            folder = os.path.join(folder, part)
            folders.append(folder)
    return [each for each in folders if any(os.path.exists(os.path.join(each, file)) for file in _FILES[controller])]


def parse_cpu_max(line: str | None) -> float | None:
    """Return a cgroup v2 cpu.max line such as "150000 100000" in cores, or None where it sets no limit."""
    quota, _, period = (line or "").partition(" ")
    return _cores(quota, period)


def cpu_limit(folders: Sequence[str]) -> float | None:
    """Return the tightest CPU quota in cores, or None where there is none."""
    limits = []
    for folder in folders:
        limit = parse_cpu_max(read_line(os.path.join(folder, "cpu.max")))
        if limit is None:
            quota = read_line(os.path.join(folder, "cpu.cfs_quota_us"))
            limit = _cores(quota, read_line(os.path.join(folder, "cpu.cfs_period_us")))
        if limit is not None:
            limits.append(limit)
    return min(limits, default=None)


def memory_limit(folders: Sequence[str]) -> MemoryLimit | None:
    """Return the tightest memory limit and what is used of it in bytes, or None where there is none."""
    tightest: tuple[int, str] | None = None
    for folder in folders:
        limit = read_int(os.path.join(folder, "memory.max"))
        if limit is None:
            limit = read_int(os.path.join(folder, "memory.limit_in_bytes"))
        if limit is not None and 0 < limit < _NO_LIMIT and (tightest is None or limit <= tightest[0]):
            tightest = (limit, folder)
    if tightest is None:
        return None
    return MemoryLimit(limit=count(tightest[0]), used=_used(tightest[1]))


def _used(folder: str) -> int | None:
    for usage_file, cache_key in (
        ("memory.current", b"inactive_file"),
        ("memory.usage_in_bytes", b"total_inactive_file"),
    ):
        usage = read_int(os.path.join(folder, usage_file))
        if usage is None:
            continue
        try:
            stat = read_bytes(os.path.join(folder, "memory.stat"))
        except OSError:
            stat = b""
        cache = 0
        for line in stat.splitlines():
            key, _, value = line.partition(b" ")
            if key == cache_key and value.isdigit():
                cache = int(value)
        return count(max(0, usage - cache))
    return None


def _cores(quota: str | None, period: str | None) -> float | None:
    if not quota or not period or not quota.isdecimal() or not period.isdecimal():
        return None
    if int(quota) == 0 or int(period) == 0:
        return None
    return round(min(int(quota), 1 << 53) / int(period), 3)
