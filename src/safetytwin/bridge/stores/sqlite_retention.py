"""Keeping less of what is old: thinned step by step, then deleted, the oldest first; never a machine's newest state."""

from collections.abc import Mapping
from dataclasses import replace

from safetytwin.bridge.stores.base import Retention, StateMissingError, StoredFrame
from safetytwin.bridge.stores.blobs import DamagedBlobError
from safetytwin.bridge.stores.sqlite_frames import (
    SEGMENT,
    Segment,
    folded,
    run_to,
    segment_frames,
    write_segment,
)
from safetytwin.bridge.stores.sqlite_schema import StoreConnection

_DAY = 86400.0
_SPARSE = 600
_HOURLY = 3600
_ROWS = 2000

_NOT_NEWEST = "EXISTS (SELECT 1 FROM frame WHERE frame.host = segment.host)"
"""Rows are newer than segments: where a machine has some, none of its segments is the newest."""


def retain_step(connection: StoreConnection, policy: Retention, now: float, host_ids: Mapping[int, str]) -> bool:
    """Do the first thing that is due; returns whether there may be more."""
    expired = now - policy.days * _DAY
    if _delete_oldest(connection, "last_at < ?", expired):
        return True
    for query in (
        "DELETE FROM series WHERE rowid IN (SELECT rowid FROM series WHERE step > 60 AND last_at < ? LIMIT ?)",
        "DELETE FROM event WHERE id IN (SELECT id FROM event WHERE at < ? LIMIT ?)",
    ):
        if connection.execute(query, (expired, _ROWS)).rowcount:
            return True
    for step, days in ((0, policy.full_days), (60, policy.sparse_days)):
        query = "DELETE FROM series WHERE rowid IN (SELECT rowid FROM series WHERE step = ? AND last_at < ? LIMIT ?)"
        if connection.execute(query, (step, now - days * _DAY, _ROWS)).rowcount:
            return True
    for spacing, days in ((_SPARSE, policy.full_days), (_HOURLY, policy.sparse_days)):
        if _thin_oldest(connection, spacing, now - days * _DAY, host_ids):
            return True
    if policy.max_bytes is not None and used_bytes(connection) > policy.max_bytes:
        return _delete_oldest(connection, "1 OR ?", 0) or _delete_oldest_rows(connection)
    return False


def used_bytes(connection: StoreConnection) -> int:
    """Return the bytes of the pages in use."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def _group(connection: StoreConnection, anchor: int) -> list[Segment]:
    """Return an anchor and the segments that need it."""
    found = connection.execute(
        f"SELECT {SEGMENT} FROM segment WHERE id = ? OR anchor = ? ORDER BY first_seq",  # noqa: S608 - names of columns
        (anchor, anchor),
    )
    return [Segment(*row) for row in found]


def _delete_oldest(connection: StoreConnection, where: str, value: float) -> bool:
    row = connection.execute(
        f"SELECT id FROM segment WHERE anchor IS NULL AND {_NOT_NEWEST} AND {where} AND NOT EXISTS "  # noqa: S608 - written in this file
        "(SELECT 1 FROM segment other WHERE other.anchor = segment.id AND other.last_at >= ? AND ? > 0) "
        "ORDER BY last_at LIMIT 1",
        (value, value, value),
    ).fetchone()
    if row is None:
        return False
    connection.execute("DELETE FROM segment WHERE id = ? OR anchor = ?", (row[0], row[0]))
    return True


def _delete_oldest_rows(connection: StoreConnection) -> bool:
    """Delete the oldest events and series, where no segments are left to delete."""
    for query in (
        "DELETE FROM series WHERE rowid IN (SELECT rowid FROM series ORDER BY step, last_at LIMIT 200)",
        "DELETE FROM event WHERE id IN (SELECT id FROM event ORDER BY id LIMIT 2000)",
    ):
        if connection.execute(query).rowcount:
            return True
    return False


def _thin_oldest(connection: StoreConnection, spacing: int, before: float, host_ids: Mapping[int, str]) -> bool:
    row = connection.execute(
        f"SELECT id, host FROM segment WHERE anchor IS NULL AND spacing < ? AND last_at < ? AND {_NOT_NEWEST} "  # noqa: S608 - written in this file
        "AND NOT EXISTS (SELECT 1 FROM segment other WHERE other.anchor = segment.id AND other.last_at >= ?) "
        "ORDER BY last_at LIMIT 1",
        (spacing, before, before),
    ).fetchone()
    if row is None:
        return False
    identity, host = row
    group = _group(connection, identity)
    kept: list[StoredFrame] = []
    for segment in group:
        try:
            frames = segment_frames(connection, host_ids[host], segment)
        except DamagedBlobError:
            continue
        kept += _thinned(frames, spacing, segment.spacing > 0, kept[-1].at if kept else None)
    connection.execute("DELETE FROM segment WHERE id = ? OR anchor = ?", (identity, identity))
    if kept:
        write_segment(connection, host, kept, spacing=spacing, last_seq=group[-1].last_seq)
    return True


def _thinned(frames: list[StoredFrame], spacing: int, whole: bool, last: float | None) -> list[StoredFrame]:
    """Return one frame with its whole state for each spacing."""
    kept: list[StoredFrame] = []
    for index, frame in enumerate(frames):
        if last is not None and int(frame.at // spacing) == int(last // spacing):
            continue
        try:
            state = frame.state if whole or frame.state is not None else folded(*run_to(frames[: index + 1]))
        except StateMissingError:
            continue
        kept.append(replace(frame, state=state, change=None))
        last = frame.at
    return kept
