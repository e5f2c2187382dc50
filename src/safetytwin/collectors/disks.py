"""Mounts that hold data, and how full they are."""

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from safetytwin.collectors.base import AbsentError, Look
from safetytwin.collectors.filesystems import is_private, kind_of, may_hang
from safetytwin.collectors.guarded_calls import GuardedCalls
from safetytwin.collectors.host_root import HostRoot, read_bytes, read_line, text_of
from safetytwin.collectors.mounts import Mount, bind_sources, parse_mountinfo, visible
from safetytwin.collectors.rates import percent
from safetytwin.models.fields import count
from safetytwin.models.hardware import Disk

Statvfs = Callable[[bytes], os.statvfs_result]
_GONE = frozenset((errno.ENOENT, errno.ENOTDIR))


@dataclass(slots=True)
class _Place:
    """One mount that is shown: what does not change, and what it looked like last."""

    mount: Mount
    plain: Disk
    guarded: bool
    shown: Disk
    usage: tuple[int, ...] | None = None


class DisksCollector:
    """Reads mountinfo and calls statvfs at each look; where a server or a FUSE process has to answer, in a thread."""

    def __init__(self, statvfs: Statvfs = os.statvfs, deadline: float = 1.0) -> None:
        self._statvfs = statvfs
        self._guarded: GuardedCalls[int, os.statvfs_result] = GuardedCalls(deadline)
        self._mountinfo: bytes | None = None
        self._places: list[_Place] = []

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
        guarded = [(place.mount.id, self._call(place)) for place in self._places if place.guarded]
        answers = self._guarded.ask(guarded) if guarded else {}
        disks: list[Disk] = []
        for place in self._places:
            if not place.guarded:
                answer = _outcome(self._call(place))
            elif place.mount.id in answers:
                answer = answers[place.mount.id]
            else:
                answer = TimeoutError("no answer in time")
            disk = _with_usage(place, answer, look)
            if disk is None:
                look.vanished += 1
            else:
                disks.append(disk)
        return disks

    def close(self) -> None:
        """Hold nothing open; threads that hang end with the process."""

    def _call(self, place: _Place) -> Callable[[], os.statvfs_result]:
        return lambda: self._statvfs(place.mount.mountpoint)


def _outcome(call: Callable[[], os.statvfs_result]) -> os.statvfs_result | Exception:
    try:
        return call()
    except OSError as error:
        return error


def _with_usage(place: _Place, answer: os.statvfs_result | Exception, look: Look) -> Disk | None:
    """Return the disk with its usage; the last one known where it did not answer, None where it is gone."""
    if isinstance(answer, os.statvfs_result):
        usage = tuple(answer)
        if place.usage != usage:
            place.usage = usage
            place.shown = filled(place.plain, answer)
        elif place.shown.status != "ok":
            place.shown = msgspec.structs.replace(place.shown, status="ok")
        return place.shown
    if isinstance(answer, OSError) and answer.errno in _GONE:
        return None
    if isinstance(answer, TimeoutError):
        status = "stale"
    elif isinstance(answer, PermissionError):
        status = "denied"
    else:
        status = "failed"
    reason = answer.strerror if isinstance(answer, OSError) and answer.strerror else str(answer)
    look.notes.append(f"{place.plain.mountpoint}: {reason}")
    if place.shown.status != status:
        place.shown = msgspec.structs.replace(place.shown if status == "stale" else place.plain, status=status)
        place.usage = place.usage if status == "stale" else None
    return place.shown


def filled(disk: Disk, usage: os.statvfs_result) -> Disk:
    """Return disk with statvfs(3)'s figures, in bytes; what root alone may still use is neither used nor free."""
    if usage.f_blocks == 0:
        total = used = free = None  # a file system that keeps no such account
    else:
        total = usage.f_blocks * usage.f_frsize
        used = max(0, usage.f_blocks - usage.f_bfree) * usage.f_frsize
        # Where even root's reserve is in use, some file systems return a negative number as an unsigned one.
        free = 0 if usage.f_bavail > usage.f_blocks else usage.f_bavail * usage.f_frsize
    inodes = usage.f_files or None
    return msgspec.structs.replace(
        disk,
        total=count(total),
        used=count(used),
        free=count(free),
        usage_percent=None if used is None or free is None else percent(used, used + free),
        inodes_total=count(inodes),
        inodes_used=None if inodes is None else count(inodes - usage.f_ffree),
        inodes_free=None if inodes is None else count(usage.f_ffree),
        status="ok",
    )


def _places(root: HostRoot, mountinfo: bytes, before: list[_Place]) -> list[_Place]:
    """Return the mounts to show; one that was shown before in the same way keeps what was known of it."""
    known = {place.mount.id: place for place in before}
    mounts: dict[str, Mount] = {}
    for mount in visible(parse_mountinfo(mountinfo)):
        mountpoint = text_of(mount.mountpoint)
        if kind_of(mount.fstype, mount.source) is None or is_private(mount.fstype, mountpoint):
            continue
        if root.live and not may_hang(mount.fstype) and _is_file(mount.mountpoint):
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
            place = _Place(mount, plain, guarded=may_hang(mount.fstype), shown=plain)
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
