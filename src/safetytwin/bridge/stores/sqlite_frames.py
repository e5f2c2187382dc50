"""Frames in SQLite: new ones a row each, older ones together in segments that compress well."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from statistics import median
from typing import Any

import msgspec

from safetytwin.bridge.stores.base import SILENCE, StateMissingError, StoredFrame
from safetytwin.bridge.stores.blobs import DamagedBlobError, opened, row_sum, sealed
from safetytwin.bridge.stores.sqlite_schema import StoreConnection
from safetytwin.changes.trees import ChangeError
from safetytwin.changes.twin import Twin
from safetytwin.models.change import Change

SEAL_AT = 75
"""Rows of a machine of which segments are made."""
_ANCHORED = 6
"""Segments that share one anchor: the first state of the first, which the others are compressed against."""
_CLOSED_SECONDS = 600.0
_LEVEL = 6

_ROW = "host, ord, seq, at, revision, keyframe, blob"

_decode_change = msgspec.json.Decoder(Change).decode


@dataclass(frozen=True, slots=True)
class Segment:
    """A row of segment without its blob."""

    id: int
    host: int
    order: int
    first_seq: int
    last_seq: int
    first_at: float
    last_at: float
    last_revision: int
    frames: int
    anchor: int | None
    spacing: int
    gaps: str
    breaks: int
    """1 where there may be a gap before it or within it."""
    sum: int

    @property
    def place(self) -> str:
        """What its blob is sealed with."""
        return segment_place(self.host, self.order, self.first_seq, self.last_seq, self.first_at)


SEGMENT = (
    "id, host, ord, first_seq, last_seq, first_at, last_at, last_revision, frames, anchor, spacing, gaps, breaks, "
    "segment.sum"
)


def folded(keyframe: bytes, changes: Sequence[bytes]) -> bytes:
    """Return the state that changes make of a state, as canonical JSON; raises StateMissingError."""
    if not changes:
        return keyframe
    try:
        twin = Twin(msgspec.json.decode(keyframe))
        for change in changes:
            twin.apply(_decode_change(change))
    except (ChangeError, msgspec.MsgspecError) as error:
        raise StateMissingError(f"What was kept does not fold: {error}") from error
    return twin.canonical_bytes()


def write_frame(connection: StoreConnection, host: int, frame: StoredFrame) -> None:
    """Insert a row."""
    value = (
        frame.received_at,
        frame.observed_at,
        frame.monotonic,
        frame.change,
        frame.state,
        dict(frame.gauges),
    )
    place = frame_place(host, frame.order, frame.seq, frame.at, frame.revision)
    connection.execute(
        f"INSERT INTO frame ({_ROW}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - names of columns
        (host, frame.order, frame.seq, frame.at, frame.revision, frame.state is not None, sealed(value, place)),
    )


def rows(
    connection: StoreConnection, host_id: str, host: int, where: str = "", *values: Any
) -> Iterator[StoredFrame | None]:
    """Yield the frames that are rows, in order; None for one that is damaged."""
    found = connection.execute(
        f"SELECT {_ROW} FROM frame WHERE host = ? {where}",  # noqa: S608 - where is written in this package
        (host, *values),
    )
    for row in found:
        yield _frame(connection, host_id, row)


def _frame(connection: StoreConnection, host_id: str, row: Sequence[Any]) -> StoredFrame | None:
    host, order, seq, at, revision, _, blob = row
    place = frame_place(host, order, seq, at, revision)
    try:
        value = opened(blob, place)
    except DamagedBlobError:
        connection.damage.note(place)
        return None
    received_at, observed_at, monotonic, change, state, gauges = value
    return StoredFrame(host_id, order, seq, revision, at, received_at, observed_at, monotonic, change, state, gauges)


def frame_place(host: int, order: int, seq: int, at: float, revision: int) -> str:
    """Return what a row's blob is sealed with."""
    return f"frame {host}/{order}/{seq} {at!r} {revision}"


def run_to(frames: Sequence[StoredFrame]) -> tuple[bytes, list[bytes]]:
    """Return the keyframe and the changes after it that make the state of the last frame; raises StateMissingError."""
    changes: list[bytes] = []
    expected = None
    for frame in reversed(frames):
        if expected is not None and frame.seq != expected:
            break
        if frame.state is not None:
            return frame.state, changes[::-1]
        if frame.change is None:
            break
        changes.append(frame.change)
        expected = frame.seq - 1
    raise StateMissingError(
        "A frame before this moment is missing or damaged; the state can be told from the next whole one on."
    )


def segment_of(row: Sequence[Any]) -> Segment:
    """Return a row of segment; raises DamagedBlobError."""
    segment = Segment(*row)
    if row_sum(*row[1:-1]) != segment.sum:
        raise DamagedBlobError(f"the columns of {segment.place} are not what was written")
    return segment


def segment_frames(connection: StoreConnection, host_id: str, segment: Segment) -> list[StoredFrame]:
    """Return the frames of a segment; raises DamagedBlobError."""
    try:
        like = None if segment.anchor is None else _anchor_state(connection, segment.anchor)
        packed = _opened_segment(connection, segment, like)
    except DamagedBlobError:
        connection.damage.note(segment.place)
        raise
    return [
        StoredFrame(host_id, segment.order, seq, revision, at, received, observed, monotonic, change, state)
        for seq, revision, at, received, observed, monotonic, change, state in packed
    ]


def _opened_segment(connection: StoreConnection, segment: Segment, like: bytes | None) -> list[Any]:
    blob = connection.execute("SELECT blob FROM segment WHERE id = ?", (segment.id,)).fetchone()[0]
    found: list[Any] = opened(blob, segment.place, like=like)
    return found


def _anchor_state(connection: StoreConnection, identity: int) -> bytes:
    row = connection.execute(
        f"SELECT {SEGMENT} FROM segment WHERE id = ?",  # noqa: S608 - names of columns
        (identity,),
    ).fetchone()
    if row is None:
        raise DamagedBlobError(f"the anchor {identity} is gone")
    state: bytes = _opened_segment(connection, segment_of(row), None)[0][7]
    return state


def segment_place(host: int, order: int, first_seq: int, last_seq: int, first_at: float) -> str:
    """Return what a segment's blob is sealed with."""
    return f"segment {host}/{order}/{first_seq}-{last_seq} {first_at!r}"


def write_segment(
    connection: StoreConnection,
    host: int,
    frames: Sequence[StoredFrame],
    *,
    anchor: tuple[int, bytes] | None = None,
    spacing: int = 0,
    last_seq: int | None = None,
) -> None:
    """Insert frames of which the first has its state as one segment; anchor is the segment it is compressed against."""
    first, last = frames[0], frames[-1]
    last_seq = last.seq if last_seq is None else last_seq
    packed = [
        (one.seq, one.revision, one.at, one.received_at, one.observed_at, one.monotonic, one.change, one.state)
        for one in frames
    ]
    place = segment_place(host, first.order, first.seq, last_seq, first.at)
    blob = sealed(packed, place, level=_LEVEL, like=None if anchor is None else anchor[1])
    inner = gaps_between([one.at for one in frames])
    values = (
        host,
        first.order,
        first.seq,
        last_seq,
        first.at,
        last.at,
        max(one.revision for one in frames),
        len(frames),
        None if anchor is None else anchor[0],
        spacing,
        msgspec.json.encode(inner).decode(),
        int(bool(inner) or not _follows_at_once(connection, host, first)),
    )
    connection.execute(
        "INSERT INTO segment (host, ord, first_seq, last_seq, first_at, last_at, last_revision, frames, anchor, "
        "spacing, gaps, breaks, sum, blob) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*values, row_sum(*values), blob),
    )


def _follows_at_once(connection: StoreConnection, host: int, first: StoredFrame) -> bool:
    """Say whether the segment that ends with the frame before one is there, and ends not long before it."""
    row = connection.execute(
        "SELECT last_seq, last_at FROM segment WHERE host = ? AND ord = ? AND first_seq < ? "
        "ORDER BY first_seq DESC LIMIT 1",
        (host, first.order, first.seq),
    ).fetchone()
    return row is not None and row[0] == first.seq - 1 and first.at - row[1] <= SILENCE


def gaps_between(moments: Sequence[float]) -> list[tuple[float, float]]:
    """Return where moments are much further from each other than they mostly are."""
    steps = [after - before for before, after in pairwise(moments)]
    most = max(SILENCE, 3 * median(steps)) if steps else SILENCE
    return [(before, after) for before, after in pairwise(moments) if after - before > most]


def seal(connection: StoreConnection, host_id: str, host: int) -> list[StoredFrame]:
    """Make segments of all rows but the last keyframe of each run and what follows it; return what was sealed.

    What can't be folded, after a damaged row, is dropped.
    """
    whole = [one for one in rows(connection, host_id, host, "ORDER BY ord, seq") if one is not None]
    if not whole:
        return []
    newest = max(one.received_at for one in whole)
    done: list[StoredFrame] = []
    for run in _runs(whole):
        keyframes = [index for index, one in enumerate(run) if one.state is not None]
        closed = newest - run[-1].received_at > _CLOSED_SECONDS
        end = len(run) if closed or not keyframes else keyframes[-1]
        sealable = run[keyframes[0] : end] if keyframes else []
        if sealable:
            write_segment(connection, host, sealable, anchor=_anchor_for(connection, host, sealable[0]))
            done += sealable
        if closed or end:
            connection.execute(
                "DELETE FROM frame WHERE host = ? AND ord = ? AND seq BETWEEN ? AND ?",
                (host, run[0].order, run[0].seq, run[end - 1].seq),
            )
    return done


def _runs(frames: Sequence[StoredFrame]) -> Iterator[list[StoredFrame]]:
    """Split frames where the epoch ends or one is missing."""
    for _, pairs in groupby(enumerate(frames), lambda pair: (pair[1].order, pair[1].seq - pair[0])):
        yield [frame for _, frame in pairs]


def _anchor_for(connection: StoreConnection, host: int, first: StoredFrame) -> tuple[int, bytes] | None:
    """Return the anchor to compress a segment against, or None where it is to be one itself."""
    row = connection.execute(
        f"SELECT {SEGMENT} FROM segment WHERE host = ? AND ord = ? AND anchor IS NULL AND spacing = 0 "  # noqa: S608 - names of columns
        "AND first_seq < ? ORDER BY first_seq DESC LIMIT 1",
        (host, first.order, first.seq),
    ).fetchone()
    if row is None:
        return None
    anchor = Segment(*row)
    shared = connection.execute("SELECT count(*) FROM segment WHERE anchor = ?", (anchor.id,)).fetchone()[0]
    if shared >= _ANCHORED - 1:
        return None
    try:
        return anchor.id, _anchor_state(connection, segment_of(row).id)
    except DamagedBlobError:
        return None


def without_state(frame: StoredFrame) -> StoredFrame:
    """Return a frame's place and clocks alone."""
    return replace(frame, state=None, change=None, gauges={})
