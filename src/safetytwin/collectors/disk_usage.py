"""How full mounts are, asked so that a mount that does not answer harms no other."""

import errno
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import msgspec

from safetytwin.collectors.base import Look
from safetytwin.collectors.guarded_calls import GuardedCalls
from safetytwin.collectors.rates import percent
from safetytwin.models.fields import count
from safetytwin.models.hardware import Disk

P = TypeVar("P", bytes, str)

_GONE = frozenset((errno.ENOENT, errno.ENOTDIR))


class Usage(NamedTuple):
    """Figures of one file system in bytes and inodes; None where it keeps no such account."""

    total: int | None = None
    used: int | None = None
    free: int | None = None
    inodes_total: int | None = None
    inodes_free: int | None = None


def usage_of(answer: "os.statvfs_result") -> Usage:
    """Return statvfs(3)'s figures as df(1) reads them: what only root may still use is neither used nor free."""
    inodes = answer.f_files or None
    inodes_free = None if inodes is None else answer.f_ffree
    if answer.f_blocks == 0:
        return Usage(inodes_total=count(inodes), inodes_free=count(inodes_free))
    # Where even root's reserve is in use, some file systems return a negative number as an unsigned one.
    available = 0 if answer.f_bavail > answer.f_blocks else answer.f_bavail
    return Usage(
        total=count(answer.f_blocks * answer.f_frsize),
        used=count(max(0, answer.f_blocks - answer.f_bfree) * answer.f_frsize),
        free=count(available * answer.f_frsize),
        inodes_total=count(inodes),
        inodes_free=count(inodes_free),
    )


def reached_through(mountpoint: P, hanging: Collection[P]) -> bool:
    """Return whether the way to a mountpoint, or the mountpoint itself, is one of those that may hang."""
    slash = b"/" if isinstance(mountpoint, bytes) else "/"
    return any(mountpoint == each or mountpoint.startswith(each.rstrip(slash) + slash) for each in hanging)


@dataclass(slots=True)
class Place(Generic[P]):
    """One mount that is shown: how to ask it, what does not change of it, and what it looked like last."""

    path: P
    key: int | str
    """What tells this mount from another one that takes its place."""
    plain: Disk
    guarded: bool
    """A server or another process may have to answer: it is asked in a thread of its own."""
    shown: Disk
    usage: Usage | None = None


class UsageReader(Generic[P]):
    """Asks each mount for its usage, those that may hang all at once and under one deadline in seconds."""

    def __init__(self, ask: Callable[[P], Usage], deadline: float = 1.0) -> None:
        self._ask: Callable[[P], Usage] = ask
        self._guarded: GuardedCalls[int | str, Usage] = GuardedCalls(deadline)

    def fill(self, places: Sequence[Place[P]], look: Look) -> list[Disk]:
        """Return the mounts with their usage; those that are gone meanwhile are left out and counted in look."""
        answers = self._guarded.ask([(place.key, self._call(place)) for place in places if place.guarded])
        disks: list[Disk] = []
        for place in places:
            if place.guarded:
                answer = answers.get(place.key, TimeoutError("no answer in time"))
            else:
                answer = _outcome(self._call(place))
            disk = _shown(place, answer, look)
            if disk is None:
                look.vanished += 1
            else:
                disks.append(disk)
        return disks

    def _call(self, place: Place[P]) -> Callable[[], Usage]:
        return lambda: self._ask(place.path)


def _outcome(call: Callable[[], Usage]) -> Usage | Exception:
    try:
        return call()
    except OSError as error:
        return error


def _shown(place: Place[P], answer: Usage | Exception, look: Look) -> Disk | None:
    """Return the disk as it is now; where it did not answer in time, with the last figures known."""
    if isinstance(answer, Usage):
        if place.usage != answer:
            place.usage = answer
            place.shown = _filled(place.plain, answer)
        elif place.shown.status != "ok":
            place.shown = msgspec.structs.replace(place.shown, status="ok")
        return place.shown
    if isinstance(answer, OSError) and answer.errno in _GONE:
        return None
    late = isinstance(answer, TimeoutError) and answer.errno is None
    status = "stale" if late else "denied" if isinstance(answer, PermissionError) else "failed"
    reason = answer.strerror if isinstance(answer, OSError) and answer.strerror else str(answer)
    look.notes.append(f"{place.plain.mountpoint}: {reason}")
    if place.shown.status != status:
        place.shown = msgspec.structs.replace(place.shown if late else place.plain, status=status)
        if not late:
            place.usage = None
    return place.shown


def _filled(disk: Disk, usage: Usage) -> Disk:
    whole = None if usage.used is None or usage.free is None else usage.used + usage.free
    inodes_used = None
    if usage.inodes_total is not None and usage.inodes_free is not None:
        inodes_used = count(usage.inodes_total - usage.inodes_free)
    return msgspec.structs.replace(
        disk,
        total=usage.total,
        used=usage.used,
        free=usage.free,
        usage_percent=percent(usage.used, whole),
        inodes_total=usage.inodes_total,
        inodes_used=inodes_used,
        inodes_free=usage.inodes_free,
        status="ok",
    )
