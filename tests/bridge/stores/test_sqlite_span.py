"""Which moments there are states for, in a long history."""

import pytest

from safetytwin.bridge.stores import sqlite_span
from safetytwin.bridge.stores.blobs import row_sum
from safetytwin.bridge.stores.sqlite import SqliteStore
from safetytwin.bridge.stores.sqlite_frames import segment_place
from safetytwin.bridge.stores.sqlite_schema import connect

SEGMENTS = 50_000
LENGTH = 600.0


@pytest.fixture(scope="module")
def year(tmp_path_factory):
    """A year of ten-minute segments with a night's gap each hundredth."""
    folder = tmp_path_factory.mktemp("year")
    SqliteStore(folder, reserve_bytes=0).close()
    connection = connect(folder / "history.sqlite3", writes=True)
    connection.execute("BEGIN")
    connection.execute("INSERT INTO host VALUES (1, 'atlas', ?)", (row_sum(1, "atlas"),))
    at = 1.7e9
    for number in range(SEGMENTS):
        at += 28_800.0 if number % 100 == 99 else 10.0
        breaks = int(number % 100 == 99 or number == 0)
        values = (1, 1, number * 60, number * 60 + 59, at, at + LENGTH - 10, number, 60, None, 0, "[]", breaks)
        at += LENGTH - 10
        connection.execute(
            "INSERT INTO segment (host, ord, first_seq, last_seq, first_at, last_at, last_revision, frames, anchor, "
            "spacing, gaps, breaks, sum, blob) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, zeroblob(300))",
            (*values, row_sum(*values)),
        )
    connection.execute("COMMIT")
    yield connection
    connection.close()


def test_a_year_is_told_as_a_whole_and_in_part(year):
    whole = sqlite_span.span_of(year, 1, None, None)
    assert whole.revisions == SEGMENTS * 60
    assert len(whole.gaps) == SEGMENTS // 100
    assert {round(end - begin) for begin, end in whole.gaps} == {28_800}
    begin, end = whole.gaps[7]
    part = sqlite_span.span_of(year, 1, begin - 1000, end + 1000)
    assert part.gaps == ((begin, end),)
    assert (part.first, part.last) == (whole.first, whole.last)
    assert 60 <= part.revisions <= 300


def test_what_is_read_of_a_long_history_is_its_index_and_its_gaps(year):
    everything = {"host": 1, "begin": 0, "end": 2e9}
    plan = year.execute(f"EXPLAIN QUERY PLAN {sqlite_span.COUNT}", everything).fetchall()
    assert all("COVERING INDEX segment_at" in row[3] for row in plan if "segment" in row[3])
    assert len(year.execute(sqlite_span.BREAKS, everything).fetchall()) == SEGMENTS // 100 + 1


def test_all_segments_are_looked_at_where_one_is_known_to_be_damaged(year):
    whole = sqlite_span.span_of(year, 1, None, None)
    first_seq, last_seq, first_at, last_at = year.execute(
        "SELECT first_seq, last_seq, first_at, last_at FROM segment WHERE id = 1050"
    ).fetchone()
    year.damage.note(segment_place(1, 1, first_seq, last_seq, first_at))
    damaged = sqlite_span.span_of(year, 1, None, None)
    (gap,) = set(damaged.gaps) - set(whole.gaps)
    assert gap[0] < first_at < last_at < gap[1]
    assert damaged.revisions == whole.revisions - 60
