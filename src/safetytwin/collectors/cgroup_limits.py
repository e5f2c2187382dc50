"""Limits of the cgroup that the machine in view is inside of: a container's, and none on a plain machine.

Everything in view descends from PID 1, so its cgroup and those above it count, as far up as the mounted tree shows.
The agent's own unit may be limited too; that says nothing of the machine.
"""

import os
from collections.abc import Sequence

from safetytwin.collectors.cgroups import parse_cpu_max, parse_field, parse_number
from safetytwin.collectors.host_root import HostRoot, read_bytes, text_of
from safetytwin.models.hardware import MemoryLimit

_FILES = {"cpu": ("cpu.max", "cpu.cfs_quota_us"), "memory": ("memory.max", "memory.limit_in_bytes")}
"""Of cgroup v2 and v1; the root of a whole machine's v2 tree has none."""


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


def cpu_limit(folders: Sequence[str]) -> float | None:
    """Return the tightest CPU quota in cores, or None where there is none."""
    limits = [limit for limit in map(_cores, folders) if limit is not None]
    return min(limits, default=None)


def memory_limit(folders: Sequence[str]) -> MemoryLimit | None:
    """Return the tightest memory limit and what is used of it in bytes, or None where there is none."""
    tightest: tuple[int, str] | None = None
    for folder in folders:
        limit = _number(folder, "memory.max")
        if limit is None:
            limit = _number(folder, "memory.limit_in_bytes")
        if limit is not None and (tightest is None or limit <= tightest[0]):
            tightest = (limit, folder)
    return None if tightest is None else MemoryLimit(limit=tightest[0], used=_used(tightest[1]))


def _cores(folder: str) -> float | None:
    limit = parse_cpu_max(_read(folder, "cpu.max"))
    if limit is None:
        quota, period = _number(folder, "cpu.cfs_quota_us"), _number(folder, "cpu.cfs_period_us")
        limit = None if quota is None or not period else quota / period
    return None if not limit else round(limit, 3)


def _used(folder: str) -> int | None:
    """Return what is in use, page cache that is reclaimable at once taken off; null where that is not told."""
    for usage_file, cache in (("memory.current", b"inactive_file"), ("memory.usage_in_bytes", b"total_inactive_file")):
        usage = _number(folder, usage_file)
        if usage is not None:
            reclaimable = parse_field(_read(folder, "memory.stat"), cache)
            return None if reclaimable is None else max(0, usage - reclaimable)
    return None


def _number(folder: str, name: str) -> int | None:
    return parse_number(_read(folder, name))


def _read(folder: str, name: str) -> bytes:
    try:
        return read_bytes(os.path.join(folder, name))
    except OSError:
        return b""
