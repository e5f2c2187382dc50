"""Past states from SQLite: rows and segments as one line of time."""

from typing import Any

from safetytwin.bridge.stores.base import PastState, Place, Span, StateMissingError, StoredFrame
from safetytwin.bridge.stores.blobs import DamagedBlobError
from safetytwin.bridge.stores.sqlite_frames import (
    SEGMENT,
    Segment,
    folded,
    rows,
    run_to,
    segment_frames,
    segment_of,
    without_state,
)
from safetytwin.bridge.stores.sqlite_schema import StoreConnection
from safetytwin.bridge.stores.sqlite_span import span_of


class History:
    """One machine's history, read within one transaction."""

    def __init__(self, connection: StoreConnection, host_id: str, host: int) -> None:
        self._connection = connection
        self._host_id = host_id
        self._host = host

    def state_at(self, moment: float) -> PastState:
        """Return the state at a moment; raises StateMissingError."""
        row = self._one("SELECT ord, seq, at FROM frame WHERE host = ? AND at <= ? ORDER BY at DESC LIMIT 1", moment)
        segment = self._segment("first_at <= ? ORDER BY first_at DESC LIMIT 1", moment)
        if row is not None and (segment is None or row[2] > segment.first_at):
            found = self._of_row(row[0], row[1])
            self._see_that_it_lasts(found.frame, found.frame.seq, moment)
            return found
        if segment is None:
            raise StateMissingError("Nothing is kept of this moment: it is before the first.")
        found = self._of_segment(segment, lambda frame: frame.at <= moment)
        if moment >= segment.last_at:
            self._see_that_it_lasts(found.frame, segment.last_seq, moment)
        elif segment.spacing and moment > found.frame.at + 2 * segment.spacing:
            raise StateMissingError("The state of this moment was not kept.")
        return found

    def _see_that_it_lasts(self, frame: StoredFrame, last_seq: int, moment: float) -> None:
        """Raise StateMissingError where a state ended before a moment and what it became is not here.

        Frames are counted without holes: what is missing was never sent, has not come yet, or is damaged. An index that
        hides a frame is found out this way too, for the one by time and the one by number say different things.
        """
        if moment <= frame.at:
            return
        behind = self.neighbours(frame.order, last_seq)[1]
        if behind is not None and behind.at <= moment:
            self._connection.damage.note(f"the index of {self._host_id} by time, at {frame.at!r}")
            raise StateMissingError("The history's index is damaged here.")
        if behind is not None:
            self._see_that_it_is_sound(behind)
        expected = last_seq + 1 if behind is not None and behind.order == frame.order else 0
        if (behind is not None and behind.seq != expected) or self._one(
            "SELECT 1 FROM lost WHERE host = ? AND after_at = ?", frame.at
        ):
            raise StateMissingError("The frames after the state before this moment are missing.")

    def _see_that_it_is_sound(self, place: Place) -> None:
        """Raise StateMissingError where what stands at a place is not what was written there."""
        here = "AND ord = ? AND seq = ?"
        row = next(rows(self._connection, self._host_id, self._host, here, place.order, place.seq), False)
        if row is None:
            raise StateMissingError("The frame after the state before this moment is damaged.")
        if row is False:
            self._segment("ord = ? AND first_seq = ?", place.order, place.seq)

    def state_of(self, order: int, seq: int) -> PastState:
        """Return the state that a frame made; raises StateMissingError."""
        if self._one("SELECT 1 FROM frame WHERE host = ? AND ord = ? AND seq = ?", order, seq):
            return self._of_row(order, seq)
        segment = self._segment("ord = ? AND first_seq <= ? ORDER BY first_seq DESC LIMIT 1", order, seq)
        if segment is None or segment.last_seq < seq:
            raise StateMissingError("This frame was never kept.")
        found = self._of_segment(segment, lambda frame: frame.seq <= seq)
        if found.frame.seq != seq:
            raise StateMissingError("This frame has been thinned out.")
        return found

    def latest(self) -> PastState | None:
        """Return the last state that can be told."""
        places = [
            *self._connection.execute(
                "SELECT ord, seq FROM frame WHERE host = ? ORDER BY ord DESC, seq DESC", (self._host,)
            )
        ]
        for order, seq in places:
            try:
                return self._of_row(order, seq)
            except StateMissingError:
                continue
        for found in self._connection.execute(
            f"SELECT {SEGMENT} FROM segment WHERE host = ? ORDER BY ord DESC, first_seq DESC",  # noqa: S608 - names of columns
            (self._host,),
        ):
            try:
                return self._of_segment(segment_of(found), lambda _: True)
            except (StateMissingError, DamagedBlobError):
                continue
        return None

    def last_of(self, order: int) -> StoredFrame | None:
        """Return the frame of an epoch with the highest seq."""
        for frame in rows(self._connection, self._host_id, self._host, "AND ord = ? ORDER BY seq DESC", order):
            if frame is not None:
                return without_state(frame)
        segment = self._segment("ord = ? ORDER BY first_seq DESC LIMIT 1", order)
        if segment is None:
            return None
        try:
            return without_state(segment_frames(self._connection, self._host_id, segment)[-1])
        except DamagedBlobError:
            return None

    def has(self, order: int, seq: int) -> bool:
        """Say whether a frame was ever kept."""
        if self._one("SELECT 1 FROM frame WHERE host = ? AND ord = ? AND seq = ?", order, seq):
            return True
        segment = self._segment("ord = ? AND first_seq <= ? ORDER BY first_seq DESC LIMIT 1", order, seq)
        return segment is not None and seq <= segment.last_seq

    def neighbours(self, order: int, seq: int) -> tuple[Place | None, Place | None]:
        """Return where the frames just before and after one stand."""
        before = [
            self._one(
                "SELECT ord, seq, at FROM frame WHERE host = ? AND (ord, seq) < (?, ?) "
                "ORDER BY ord DESC, seq DESC LIMIT 1",
                order,
                seq,
            ),
            self._one(
                "SELECT ord, last_seq, last_at FROM segment WHERE host = ? AND (ord, first_seq) < (?, ?) "
                "ORDER BY ord DESC, first_seq DESC LIMIT 1",
                order,
                seq,
            ),
        ]
        after = [
            self._one(
                "SELECT ord, seq, at FROM frame WHERE host = ? AND (ord, seq) > (?, ?) ORDER BY ord, seq LIMIT 1",
                order,
                seq,
            ),
            self._one(
                "SELECT ord, first_seq, first_at FROM segment WHERE host = ? AND (ord, first_seq) > (?, ?) "
                "ORDER BY ord, first_seq LIMIT 1",
                order,
                seq,
            ),
        ]
        return (
            max((Place(*one) for one in before if one), key=lambda place: (place.order, place.seq), default=None),
            min((Place(*one) for one in after if one), key=lambda place: (place.order, place.seq), default=None),
        )

    def last_revision(self) -> int:
        """Return the highest revision."""
        found = [
            self._one("SELECT max(revision) FROM frame WHERE host = ?"),
            self._one("SELECT max(last_revision) FROM segment WHERE host = ?"),
        ]
        return max((row[0] for row in found if row and row[0] is not None), default=0)

    def span(self, begin: float | None, end: float | None) -> Span:
        """Return which moments between two there are states for."""
        return span_of(self._connection, self._host, begin, end)

    def began_at(self, order: int) -> float | None:
        """Return where the first frame of an epoch that is kept stands."""
        found = [
            self._one("SELECT at FROM frame WHERE host = ? AND ord = ? ORDER BY seq LIMIT 1", order),
            self._one("SELECT first_at FROM segment WHERE host = ? AND ord = ? ORDER BY first_seq LIMIT 1", order),
        ]
        return min((row[0] for row in found if row), default=None)

    def _of_row(self, order: int, seq: int) -> PastState:
        start = self._one(
            "SELECT max(seq) FROM frame WHERE host = ? AND ord = ? AND seq <= ? AND keyframe = 1", order, seq
        )
        found = list(
            rows(
                self._connection,
                self._host_id,
                self._host,
                "AND ord = ? AND seq BETWEEN ? AND ? ORDER BY seq",
                order,
                start[0] if start and start[0] is not None else seq,
                seq,
            )
        )
        if not found or found[-1] is None:
            raise StateMissingError("What was kept of this moment is damaged.")
        keyframe, changes = run_to([frame for frame in found if frame is not None])
        return PastState(folded(keyframe, changes), without_state(found[-1]))

    def _of_segment(self, segment: Segment, wanted: Any) -> PastState:
        try:
            frames = segment_frames(self._connection, self._host_id, segment)
        except DamagedBlobError as error:
            raise StateMissingError(f"What was kept of this moment is damaged: {error}") from error
        until = [frame for frame in frames if wanted(frame)]
        keyframe, changes = _thinned(until[-1]) if segment.spacing else run_to(until)
        return PastState(folded(keyframe, changes), without_state(until[-1]))

    def _one(self, query: str, *values: Any) -> Any:
        return self._connection.execute(query, (self._host, *values)).fetchone()

    def _segment(self, where: str, *values: Any) -> Segment | None:
        row = self._one(f"SELECT {SEGMENT} FROM segment WHERE host = ? AND {where}", *values)  # noqa: S608 - where is written above
        try:
            return None if row is None else segment_of(row)
        except DamagedBlobError as error:
            self._connection.damage.note(str(error))
            raise StateMissingError(f"What was kept of this moment is damaged: {error}") from error


def _thinned(frame: StoredFrame) -> tuple[bytes, list[bytes]]:
    if frame.state is None:
        raise StateMissingError("This moment has been thinned out.")
    return frame.state, []
