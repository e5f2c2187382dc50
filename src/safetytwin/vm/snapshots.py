"""Snapshots of a twin: tied to the revision and moment of the machine's state that it followed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated as A  # noqa: N817 - the fields below are a table, one row each

import msgspec

from safetytwin.models.fields import Count, Record
from safetytwin.models.system_state import Timestamp
from safetytwin.models.timestamps import seconds_of, timestamp
from safetytwin.vm.driver import Driver, DriverError, Snapshot

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


class TwinSnapshot(Record, frozen=True):
    """One snapshot of a twin."""

    name: A[str, msgspec.Meta(description="What it is called.")]
    taken_at: A[Timestamp, msgspec.Meta(description="When it was taken.")]
    named: A[bool, msgspec.Meta(description="A person named it: it is kept for ever.")] = False
    revision: A[Count | None, msgspec.Meta(description="Revision of the machine's state that the twin was at.")] = None
    at: A[Timestamp | None, msgspec.Meta(description="The moment of that state.")] = None
    memory_bytes: A[
        Count | None,
        msgspec.Meta(description="The twin's memory in it; null: not known. Of disks it keeps what changed since."),
    ] = None


class _Noted(Record, frozen=True):
    named: bool = False
    revision: int | None = None
    at: str | None = None


@dataclass(frozen=True, slots=True)
class Retention:
    """Which snapshots without a name are kept, and how much all of a twin's files may take."""

    number: int = 10
    seconds: float = 7 * 86400
    most_bytes: int = 64 << 30
    warn_at: float = 0.8
    """Share of most_bytes from which it is said."""


def all_snapshots(driver: Driver, domain: str) -> list[TwinSnapshot]:
    """Return a twin's snapshots, oldest first; one that was made by other means counts as a person's."""
    return [_read(snapshot) for snapshot in driver.snapshots(domain)]


def take(driver: Driver, domain: str, name: str | None, revision: int | None, at: str | None, now: float) -> str:
    """Take a snapshot and return its name; raises DriverError, also where the name is none or is taken."""
    if name is not None and not _NAME.fullmatch(name):
        raise DriverError(f"{name[:80]!r} is no name for a snapshot: 1 to 64 of A-Z a-z 0-9 . _ -, no sign first")
    taken = {snapshot.name for snapshot in driver.snapshots(domain)}
    if name in taken:
        raise DriverError(f"there is a snapshot {name} already: choose another name")
    chosen = name or _free_name(f"r{'' if revision is None else revision}-{int(now)}", taken)
    noted = msgspec.json.encode(_Noted(name is not None, revision, at)).decode()
    driver.snapshot(domain, chosen, noted)
    return chosen


def superseded(snapshots: Sequence[TwinSnapshot], retention: Retention, now: float) -> list[str]:
    """Return the names of the snapshots that need not be kept: too many or too old, and named by no one."""
    unnamed = [snapshot for snapshot in snapshots if not snapshot.named]
    surplus = max(0, len(unnamed) - retention.number)
    return [
        snapshot.name
        for position, snapshot in enumerate(unnamed)
        if position < surplus or now - seconds_of(snapshot.taken_at) > retention.seconds
    ]


def chosen(snapshots: Sequence[TwinSnapshot], wanted: str | float) -> TwinSnapshot:
    """Return the snapshot of a name, or the last that is of a moment (seconds since 1970) or before it.

    Raises DriverError where there is none.
    """
    if isinstance(wanted, str):
        for snapshot in snapshots:
            if snapshot.name == wanted:
                return snapshot
        known = ", ".join(snapshot.name for snapshot in snapshots[-10:]) or "none"
        raise DriverError(f"there is no snapshot {wanted[:80]!r}; there are: {known}")
    before = [one for one in snapshots if seconds_of(one.at or one.taken_at) <= wanted]
    if not before:
        raise DriverError("there is no snapshot of that moment or before it")
    return before[-1]


def _read(snapshot: Snapshot) -> TwinSnapshot:
    taken_at = timestamp(snapshot.taken_at) or "1970-01-01T00:00:00Z"
    try:
        noted = msgspec.json.decode(snapshot.description, type=_Noted)
    except msgspec.MsgspecError:
        return TwinSnapshot(snapshot.name, taken_at, named=True)
    return TwinSnapshot(snapshot.name, taken_at, noted.named, noted.revision, noted.at)


def _free_name(stem: str, taken: set[str]) -> str:
    if stem not in taken:
        return stem
    number = 2
    while f"{stem}-{number}" in taken:
        number += 1
    return f"{stem}-{number}"
