"""Which moments of a machine there are states for."""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import pairwise
from statistics import median
from typing import NamedTuple

import msgspec

from safetytwin.bridge.stores.base import SILENCE, Span
from safetytwin.bridge.stores.blobs import is_sound
from safetytwin.bridge.stores.sqlite_frames import frame_place, segment_place
from safetytwin.bridge.stores.sqlite_schema import StoreConnection

_MOST_GAPS = 1000
"""Gaps that are told at most: the longest of the newest."""

_COLUMNS = "first_at, last_at, frames, gaps, ord, first_seq, last_seq"
_INSIDE = (
    "host = :host AND first_at <= :end AND first_at >= "
    "coalesce((SELECT max(first_at) FROM segment WHERE host = :host AND first_at <= :begin), :begin)"
)
"""Segments from the last one that begins before the span."""
COUNT = f"SELECT coalesce(sum(frames), 0) FROM segment INDEXED BY segment_at WHERE {_INSIDE} AND last_at >= :begin"  # noqa: S608 - written above
BREAKS = f"SELECT {_COLUMNS} FROM segment INDEXED BY segment_break WHERE {_INSIDE} AND breaks ORDER BY first_at DESC LIMIT {_MOST_GAPS}"  # noqa: S608, E501 - written above
_ALL = f"SELECT {_COLUMNS} FROM segment INDEXED BY segment_at WHERE {_INSIDE}"  # noqa: S608 - written above
_BEFORE = f"SELECT {_COLUMNS} FROM segment WHERE host = ? AND first_at < ? ORDER BY first_at DESC LIMIT 1"  # noqa: S608 - written above
_ROWS = "SELECT at, ord, seq, revision, keyframe, blob FROM frame WHERE host = ? ORDER BY at"
_ENDS = (
    "SELECT min(first_at), max(last_at) FROM segment WHERE host = :host "
    "AND first_at IN ((SELECT min(first_at) FROM segment WHERE host = :host), "
    "(SELECT max(first_at) FROM segment WHERE host = :host))"
)


class _Piece(NamedTuple):
    """A segment or a row."""

    first: float
    last: float
    frames: int
    gaps: str
    order: int
    first_seq: int
    last_seq: int


def span_of(connection: StoreConnection, host: int, begin: float | None, end: float | None) -> Span:
    """Return what there is of a machine between two moments.

    Where something is known to be damaged all segments are looked at, else those alone that a gap may be at.
    """
    low, high = -1e18 if begin is None else begin, 1e18 if end is None else end
    inside = {"host": host, "begin": low, "end": high}
    rows = [*_rows(connection, host)]
    wanted = [one for one in rows if low <= one.first <= high]
    if connection.damage.count:
        segments = [
            one
            for one in map(_Piece._make, connection.execute(_ALL, inside))
            if segment_place(host, *one[4:], one.first) not in connection.damage
        ]
        pairs = [*pairwise(sorted([*segments, *rows]))]
        revisions = sum(one.frames for one in segments if one.last >= low)
        inner = segments
    else:
        inner = [*map(_Piece._make, connection.execute(BREAKS, inside))]
        pairs = [(before, one) for one in [*inner, *wanted] for before in _before(connection, host, rows, one)]
        revisions = connection.execute(COUNT, inside).fetchone()[0]
    lost = {at for (at,) in connection.execute("SELECT after_at FROM lost WHERE host = ?", (host,))}
    steps = [after.first - before.first for before, after in pairwise(rows)]
    usual = median(steps) if steps else 0.0
    gaps = [(before.last, one.first) for before, one in pairs if before.last in lost or _is_gap(before, one, usual)]
    for one in inner:
        if one.gaps != "[]":
            gaps += msgspec.json.decode(one.gaps, type=list[tuple[float, float]])
    longest = sorted((gap for gap in gaps if gap[1] >= low and gap[0] <= high), key=lambda gap: gap[0] - gap[1])
    ends = [*connection.execute(_ENDS, inside).fetchone(), *(one.first for one in rows)]
    known = [one for one in ends if one is not None]
    return Span(
        min(known, default=None),
        max(known, default=None),
        revisions + len(wanted),
        tuple(sorted(longest[:_MOST_GAPS])),
    )


def _rows(connection: StoreConnection, host: int) -> Iterator[_Piece]:
    """Yield the rows of which the state can be told: not the damaged ones, nor the changes that build on them."""
    told: dict[int, int] = {}
    for at, order, seq, revision, keyframe, blob in connection.execute(_ROWS, (host,)):
        place = frame_place(host, order, seq, at, revision)
        if not is_sound(blob, place):
            connection.damage.note(place)
        elif keyframe or told.get(order) == seq - 1:
            told[order] = seq
            yield _Piece(at, at, 1, "[]", order, seq, seq)


def _before(connection: StoreConnection, host: int, rows: list[_Piece], piece: _Piece) -> Iterator[_Piece]:
    """Yield what stands just before a row or segment."""
    index = bisect_left(rows, piece)
    row = rows[index - 1] if index else None
    if row is not None and (row.order, row.last_seq) == (piece.order, piece.first_seq - 1):
        yield row
        return
    found = connection.execute(_BEFORE, (host, piece.first)).fetchone()
    before = [one for one in (row, None if found is None else _Piece._make(found)) if one is not None]
    if before:
        yield max(before)


def _is_gap(before: _Piece, piece: _Piece, usual: float) -> bool:
    """Say whether frames between two pieces are missing, or looks are far from each other."""
    if piece.first_seq != (before.last_seq + 1 if piece.order == before.order else 0):
        return True
    step = (before.last - before.first) / (before.frames - 1) if before.frames > 2 else usual
    return piece.first - before.last > max(SILENCE, 3 * step)
