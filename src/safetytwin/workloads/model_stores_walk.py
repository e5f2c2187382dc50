"""Walking folders within limits: no link followed, no network file system entered, no more than so much seen."""

import itertools
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass

from safetytwin.collectors.filesystems import kind_of, may_hang
from safetytwin.collectors.host_root import HostRoot, read_bytes
from safetytwin.collectors.mounts import parse_mountinfo, visible

_MAX_ENTRIES = 50_000
"""Most entries of one store or directory that are looked at."""
_MAX_LINKS = 40
_JUST_NOW = 2.0
"""Seconds in which a folder may change again without a new time of change (clocks of file systems tick slowly)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a folder."""

    name: str
    path: str
    kind: str
    """file, folder, link or other."""


class Barriers:
    """The mountpoints below which asking may hang or which belong to another machine."""

    def __init__(self, root: HostRoot) -> None:
        try:
            mounts = visible(parse_mountinfo(read_bytes(os.path.join(root.proc, "self/mountinfo"))))
        except OSError:
            mounts = []
        self._fstype = {
            _below(root.root, os.fsdecode(mount.mountpoint)): mount.fstype
            for mount in mounts
            if may_hang(mount.fstype) or kind_of(mount.fstype, mount.source) in {"network", None}
        }

    def fstype(self, path: str) -> str | None:
        """Return the type of the file system that is mounted at path where it is not to be entered."""
        return self._fstype.get(path)

    def resolved(self, path: str) -> tuple[str, str | None]:
        """Return path without links, asking nothing behind a barrier, and the barrier's type where it leads to one.

        Raises OSError where it does not exist or turns in a circle.
        """
        left = path.strip("/").split("/")[::-1]
        done, links = "/", 0
        while left:
            part = left.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                done = os.path.dirname(done)
                continue
            step = os.path.join(done, part)
            fstype = self._fstype.get(step)
            if fstype is not None:
                return step, fstype
            if not stat.S_ISLNK(os.lstat(step).st_mode):
                done = step
                continue
            links += 1
            if links > _MAX_LINKS:
                raise OSError(f"{path} goes through too many links")
            target = os.readlink(step)
            if target.startswith("/"):
                done = "/"
            left.extend(target.strip("/").split("/")[::-1])
        return done, None


class Walk:
    """One walk over a store: it lists folders, remembers them, and says what it left out."""

    def __init__(self, barriers: Barriers, deadline: float, max_entries: int = _MAX_ENTRIES) -> None:
        self._barriers = barriers
        self._deadline = deadline
        self._left = max_entries
        self._full = False
        self.folders: dict[str, int] = {}
        """By path, the time of change (ns) of every folder that was listed; -1 where it may still change unseen."""
        self.notes: list[str] = []
        self.ran_out = False
        """Whether the time was up before the end."""

    def is_over(self) -> bool:
        """Return whether the time is up; what was not reached is then left out."""
        if time.monotonic() > self._deadline:
            self.ran_out = True
        return self.ran_out

    def entries(self, path: str) -> list[Entry]:
        """Return the entries of a folder, sorted by name; [] where it can't be read or a limit is reached."""
        if self._barriers.fstype(path) is not None:
            return []
        if self._left <= 0:
            if not self._full:
                self._note(f"{path} and what comes after it are left out: too many files")
            self._full = True
            return []
        if self.is_over():
            return []
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                changed = os.fstat(descriptor).st_mtime_ns
                with os.scandir(descriptor) as entries:
                    found = [
                        Entry(entry.name, os.path.join(path, entry.name), _kind(entry))
                        for entry in itertools.islice(entries, self._left)
                    ]
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            return []
        except OSError as error:
            self._note(f"{path} can't be read: {error.strerror}")
            return []
        self._left -= len(found)
        self.folders[path] = changed if time.time() - changed / 1e9 > _JUST_NOW else -1
        return sorted(found, key=lambda entry: entry.name)

    def below(self, path: str, depth: int, skipped: frozenset[str] = frozenset()) -> Iterator[tuple[str, list[Entry]]]:
        """Give every folder from path down to depth levels below it, with its entries; folders in skipped are not."""
        entries = self.entries(path)
        yield path, entries
        if depth:
            for entry in entries:
                if entry.kind == "folder" and entry.name not in skipped:
                    yield from self.below(entry.path, depth - 1, skipped)

    def _note(self, text: str) -> None:
        if text not in self.notes and len(self.notes) < 8:
            self.notes.append(text)


def unchanged(folders: dict[str, int]) -> bool:
    """Return whether none of the folders of an earlier walk changed since."""
    try:
        return all(os.lstat(path).st_mtime_ns == changed for path, changed in folders.items())
    except OSError:
        return False


def _kind(entry: "os.DirEntry[str]") -> str:
    try:
        if entry.is_symlink():
            return "link"
        if entry.is_dir(follow_symlinks=False):
            return "folder"
        return "file" if entry.is_file(follow_symlinks=False) else "other"
    except OSError:
        return "other"


def _below(root: str, path: str) -> str:
    return os.path.join(root, path.lstrip("/")) if root != "/" else path
