"""Which moments of a machine there are states for."""

from itertools import pairwise
from statistics import median

import msgspec

from safetytwin.bridge.stores.base import SILENCE, Span
from safetytwin.bridge.stores.sqlite_schema import StoreConnection

_MOST_GAPS = 1000
"""Gaps that are told at most, the longest ones."""

_PIECES = """
SELECT first_at, last_at, frames, gaps, ord, first_seq, last_seq FROM segment INDEXED BY segment_at
WHERE host = :host AND first_at <= :end
  AND first_at >= coalesce((SELECT max(first_at) FROM segment WHERE host = :host AND first_at <= :begin), :begin)
UNION ALL
SELECT at, at, 1, '[]', ord, seq, seq FROM frame
WHERE host = :host AND at <= :end
  AND at >= coalesce((SELECT max(at) FROM frame WHERE host = :host AND at <= :begin), :begin)
ORDER BY 1
"""
"""Rows and segments from the last one that begins before the span; all columns are in the index."""


def span_of(connection: StoreConnection, host: int, begin: float | None, end: float | None) -> Span:
    """Return what there is of a machine between two moments."""
    low, high = -1e18 if begin is None else begin, 1e18 if end is None else end
    lost = {at for (at,) in connection.execute("SELECT after_at FROM lost WHERE host = ?", (host,))}
    pieces = connection.execute(_PIECES, {"host": host, "begin": low, "end": high}).fetchall()
    gaps: list[tuple[float, float]] = []
    revisions = 0
    rows = [first for first, _, frames, *_ in pieces if frames == 1]
    usual = median([after - before for before, after in pairwise(rows)]) if len(rows) > 1 else 0.0
    before_at, before_usual, before_order, before_seq = None, 0.0, 0, 0
    for first, last, frames, inner, order, first_seq, last_seq in pieces:
        if last >= low:
            revisions += frames
        if inner != "[]":
            gaps += [(one, other) for one, other in msgspec.json.decode(inner) if other >= low and one <= high]
        if before_at is not None and first >= low:
            follows = first_seq == (before_seq + 1 if order == before_order else 0)
            if not follows or first - before_at > max(SILENCE, 3 * before_usual) or before_at in lost:
                gaps.append((before_at, first))
        before_at, before_order, before_seq = last, order, last_seq
        before_usual = (last - first) / (frames - 1) if frames > 2 else usual
    longest = sorted(gaps, key=lambda gap: gap[0] - gap[1])[:_MOST_GAPS]
    ends = connection.execute(
        "SELECT min(first), max(last) FROM ("
        "SELECT min(first_at) AS first, max(last_at) AS last FROM segment WHERE host = :host "
        "AND first_at IN ((SELECT min(first_at) FROM segment WHERE host = :host), "
        "(SELECT max(first_at) FROM segment WHERE host = :host)) "
        "UNION ALL SELECT min(at), max(at) FROM frame WHERE host = :host)",
        {"host": host},
    ).fetchone()
    return Span(ends[0], ends[1], revisions, tuple(sorted(longest)))
