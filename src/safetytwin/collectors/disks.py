"""Mounts that hold data, and how full they are."""

import os
import stat
from collections.abc import Callable

from safetytwin.collectors.base import AbsentError, Look
from safetytwin.collectors.disk_usage import Place, UsageReader, reached_through, usage_of
from safetytwin.collectors.filesystems import is_private, kind_of, may_hang
from safetytwin.collectors.host_root import HostRoot, read_bytes, read_line, text_of
from safetytwin.collectors.mounts import Mount, bind_sources, parse_mountinfo, visible
from safetytwin.models.hardware import Disk


class DisksCollector:
    """Reads mountinfo and calls statvfs at each look; where a server or a FUSE process has to answer, in a thread."""

    def __init__(self, statvfs: Callable[[bytes], os.statvfs_result] = os.statvfs, deadline: float = 1.0) -> None:
        self._reader: UsageReader[bytes] = UsageReader(lambda path: usage_of(statvfs(path)), deadline)
        self._mountinfo: bytes | None = None
        self._places: list[Place[bytes]] = []

    def collect(self, look: Look) -> list[Disk]:
        """Return the mounts by mountpoint; raises AbsentError without /proc/self/mountinfo."""
        try:
            mountinfo = read_bytes(os.path.join(look.root.proc, "self/mountinfo"))
        except FileNotFoundError as error:
            raise AbsentError("no /proc/self/mountinfo") from error
        if mountinfo != self._mountinfo:
            self._places = _places(look.root, mountinfo, self._places)
            self._mountinfo = mountinfo
        if not look.root.live:
            return [place.plain for place in self._places]
        return self._reader.fill(self._places, look)

    def close(self) -> None:
        """Hold nothing open; threads that hang end with the process."""


def _places(root: HostRoot, mountinfo: bytes, before: list[Place[bytes]]) -> list[Place[bytes]]:
    """Return the mounts to show; one that was shown before in the same way keeps what was known of it."""
    known = {place.key: place for place in before}
    found = visible(parse_mountinfo(mountinfo))
    hanging = [mount.mountpoint for mount in found if may_hang(mount.fstype)]
    mounts: dict[str, Mount] = {}
    for mount in found:
        mountpoint = text_of(mount.mountpoint)
        if kind_of(mount.fstype, mount.source) is None or is_private(mount.fstype, mountpoint):
            continue
        if root.live and not reached_through(mount.mountpoint, hanging) and _is_file(mount.mountpoint):
            continue
        mounts[mountpoint] = mount
    sources = bind_sources(list(mounts.values()))
    places = []
    for mountpoint, mount in mounts.items():
        source = sources.get(mount.id)
        plain = Disk(
            mountpoint=mountpoint,
            device=_device(root, mount),
            device_id=mount.device_id,
            fstype=mount.fstype,
            options=list(mount.options),
            read_only="ro" in mount.options,
            kind=kind_of(mount.fstype, mount.source),
            bind_of=None if source is None else text_of(source.mountpoint),
            root=None if mount.root == b"/" else text_of(mount.root),
        )
        place = known.get(mount.id)
        if place is None or place.plain != plain:
            place = Place(mount.mountpoint, mount.id, plain, guarded=False, shown=plain)
        place.guarded = reached_through(mount.mountpoint, hanging)
        places.append(place)
    return places


def _is_file(path: bytes) -> bool:
    """Return whether a mount shows a single file: a container's /etc/hosts, a driver's library."""
    try:
        return not stat.S_ISDIR(os.stat(path).st_mode)
    except OSError:
        return False


def _device(root: HostRoot, mount: Mount) -> str | None:
    """Return what is mounted; names that say nothing (/dev/root) or may change (by-uuid) become the kernel's."""
    if mount.source == "none":
        return None
    if mount.source == "/dev/root" or mount.source.startswith("/dev/disk/by-"):
        for line in (read_line(os.path.join(root.sys, "dev/block", mount.device_id, "uevent")) or "").splitlines():
            name, _, value = line.partition("=")
            if name == "DEVNAME" and value:
                return f"/dev/{value}"
    return mount.source
