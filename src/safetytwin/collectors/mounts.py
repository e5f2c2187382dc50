"""The mounts of the agent's mount namespace, from /proc/self/mountinfo (proc_pid_mountinfo(5))."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from safetytwin.collectors.host_root import text_of

_ESCAPE = re.compile(rb"\\([0-7]{3})")
_DELETED = b"//deleted"
"""The kernel's ending of a mountpoint whose folder was removed elsewhere: no path leads there any more."""


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount; root and mountpoint are paths as the kernel has them, of any bytes."""

    id: int
    parent: int
    device_id: str
    root: bytes
    mountpoint: bytes
    options: tuple[str, ...]
    """Those of the mount, then those of the file system; ro where either is."""
    fstype: str
    source: str


def parse_mountinfo(data: bytes) -> list[Mount]:
    """Return the mounts in the kernel's order; a line that is none is left out."""
    mounts = []
    for line in data.split(b"\n"):
        fields = line.split(b" ")
        try:
            separator = fields.index(b"-", 6)
            number, parent = int(fields[0]), int(fields[1])
        except ValueError:
            continue
        rest = fields[separator + 1 :]
        if len(rest) < 2 or fields[4][:1] != b"/" or fields[4].endswith(_DELETED):
            continue
        mounts.append(
            Mount(
                id=number,
                parent=parent,
                device_id=text_of(fields[2]),
                root=unescape(fields[3]),
                mountpoint=unescape(fields[4]),
                options=_options(text_of(fields[5]), text_of(rest[2]) if len(rest) > 2 else ""),
                fstype=text_of(rest[0]),
                source=text_of(unescape(rest[1])),
            )
        )
    return mounts


def unescape(field: bytes) -> bytes:
    r"""Return a field with the kernel's octal escapes (\040 for a space) undone."""
    if b"\\" not in field:
        return field
    return _ESCAPE.sub(lambda found: bytes([int(found.group(1), 8) & 0xFF]), field)


def _options(of_mount: str, of_filesystem: str) -> tuple[str, ...]:
    own = [option for option in of_mount.split(",") if option]
    theirs = [option for option in of_filesystem.split(",") if option and option not in own]
    if "ro" in theirs:
        own = [option for option in own if option != "rw"]
    elif "ro" in own:
        theirs = [option for option in theirs if option != "rw"]
    return tuple(own + theirs)


def visible(mounts: Sequence[Mount]) -> list[Mount]:
    """Return, by mountpoint, the mounts that a path leads to.

    Not those mounted over, be it at their mountpoint or at a folder above it; where a mountpoint remains twice, the
    last wins.
    """
    by_id = {mount.id: mount for mount in mounts}
    places = {(mount.parent, mount.mountpoint) for mount in mounts if mount.parent != mount.id}
    reached: dict[int, bool] = {}
    for mount in mounts:
        _judge(mount, by_id, places, reached)
    seen = {
        mount.mountpoint: mount for mount in mounts if reached[mount.id] and (mount.id, mount.mountpoint) not in places
    }
    return sorted(seen.values(), key=lambda mount: mount.mountpoint)


def _judge(mount: Mount, by_id: dict[int, Mount], places: set[tuple[int, bytes]], reached: dict[int, bool]) -> None:
    """Say of a mount and of those below it in the tree whether a path leads to their mountpoint on their parent."""
    chain: list[Mount] = []
    current: Mount | None = mount
    while current is not None and current.id not in reached:
        reached[current.id] = True  # ends the walk where damaged input lets parents go in a circle
        chain.append(current)
        current = by_id.get(current.parent)
    for each in reversed(chain):
        parent = by_id.get(each.parent)
        if parent is not None and parent is not each:
            reached[each.id] = reached[parent.id] and (
                each.mountpoint == parent.mountpoint or not _covered(each, parent, places)
            )


def _covered(mount: Mount, parent: Mount, places: set[tuple[int, bytes]]) -> bool:
    """Return whether something is mounted on parent at a folder above mount's mountpoint, parent's own included."""
    folder = mount.mountpoint
    while len(folder) > len(parent.mountpoint):
        folder = folder[: folder.rfind(b"/")] or b"/"
        if (parent.id, folder) in places:
            return True
    return False


def bind_sources(mounts: Sequence[Mount]) -> dict[int, Mount]:
    """Return, by the id of each mount that repeats another's file system, the mount that shows most of it.

    A btrfs subvolume mounted by its own name (subvol=) is no bind mount, though its file system is mounted elsewhere.
    """
    of_filesystem: dict[str, list[Mount]] = {}
    for mount in mounts:
        of_filesystem.setdefault(mount.device_id, []).append(mount)
    sources: dict[int, Mount] = {}
    for same in of_filesystem.values():
        if len(same) < 2:
            continue
        in_order = sorted(same, key=lambda mount: mount.id)
        for mount in in_order:
            source = _shows_most(mount, in_order)
            if source is not mount:
                sources[mount.id] = source
    return sources


def _shows_most(mount: Mount, same: Sequence[Mount]) -> Mount:
    if _is_subvolume(mount):
        return next(each for each in same if each.root == mount.root)
    for each in same:
        if each.root == b"/":
            return each
    for each in same:
        if _is_subvolume(each) and mount.root.startswith(each.root.rstrip(b"/") + b"/"):
            return each
    return same[0]


def _is_subvolume(mount: Mount) -> bool:
    return mount.fstype == "btrfs" and f"subvol={text_of(mount.root)}" in mount.options
