"""A damaged database: found out when it is opened, moved aside, and what is readable of it taken into a new one."""

import logging
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from safetytwin.bridge.stores.base import SALVAGED
from safetytwin.bridge.stores.blobs import Damage, DamagedBlobError, is_sound, opened, row_sum
from safetytwin.bridge.stores.sqlite_frames import frame_place, segment_place
from safetytwin.bridge.stores.sqlite_schema import StoreConnection, connect, migrate, newest_schema, schema_of
from safetytwin.bridge.stores.sqlite_series import series_place

_LOG = logging.getLogger(__name__)
_LOOKED_THROUGH = 128 << 20
"""Bytes of a database that is looked through as a whole when it is opened; of a larger one its newest part is."""
_NEWEST_PART = ("host", "epoch", "frame", "refusal", "lost")
_PAGE = 4096
_RESCUED = "history.rescued.sqlite3"
_FARTHEST = 1 << 40
_AT_ONCE = 500

Row = Sequence[Any]


def is_damage(error: sqlite3.Error) -> bool:
    """Say whether it is the file that is wrong; a constraint that fails is, for what is written never breaks one."""
    code = getattr(error, "sqlite_errorcode", None)
    damage = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CONSTRAINT}
    return code is not None and code & 0xFF in damage


def damage_of(connection: StoreConnection, path: Path) -> str | None:
    """Return what is damaged in a database, None where nothing is."""
    checks = ["PRAGMA integrity_check(1)"]
    if path.stat().st_size > _LOOKED_THROUGH:
        checks = [f"PRAGMA integrity_check({table})" for table in _NEWEST_PART]
    try:
        if schema_of(connection) != newest_schema():
            return "the schema is not what was written"
        for check in checks:
            said = connection.execute(check).fetchone()[0]
            if said != "ok":
                return str(said)
        for number, host_id, checksum in connection.execute("SELECT num, host_id, sum FROM host"):
            if row_sum(number, host_id) != checksum:
                return f"the name of machine {number}"
        if len(checks) == 1:
            _look_through(connection)
    except sqlite3.DatabaseError as error:
        return str(error)
    return None


def _look_through(connection: StoreConnection) -> None:
    """Count the frames and segments that are damaged, so that they are shown as gaps."""
    columns = "id, host, ord, first_seq, last_seq, first_at, last_at, last_revision, frames, anchor, spacing, gaps"
    for row in connection.execute(f"SELECT {columns}, blob, breaks, segment.sum FROM segment"):  # noqa: S608 - the names above
        if not _is_sound_segment(row):
            connection.damage.note(segment_place(*row[1:6]))
    for row in connection.execute("SELECT host, ord, seq, at, revision, keyframe, blob FROM frame"):
        if not _is_sound_frame(row):
            connection.damage.note(frame_place(*row[:5]))


def salvaged(path: Path, why: str, damage: Damage) -> None:
    """Move a damaged database aside and put a new one in its place with what is readable of it.

    The old one stays at its place until the new one is whole. Raises sqlite3.Error where there is no room for it.
    """
    aside = path.with_name(f"history.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.sqlite3")
    new = path.with_name("history.salvaged.sqlite3")
    for left_over in _files(new):
        left_over.unlink(missing_ok=True)
    target = connect(new, writes=True)
    try:
        migrate(target)
        target.execute("BEGIN IMMEDIATE")
        kept = _copied(path, target, damage)
        target.execute("COMMIT")
    finally:
        target.close()
    for old, to in zip(_files(path), _files(aside), strict=True):
        if old.exists():
            old.rename(to)
    new.rename(path)
    damage.note(f"the database ({why}); it is kept as {aside.name}")
    _LOG.error(
        "THE STORE WAS DAMAGED: %s. %s was moved to %s; what is readable of it is in a new one: %s. "
        "What is missing shows as gaps.",
        why,
        path,
        aside,
        ", ".join(f"{number} of {table}" for table, number in kept.items()),
    )


def _files(path: Path) -> list[Path]:
    return [path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))]


def _copied(path: Path, target: StoreConnection, damage: Damage) -> dict[str, int]:
    """Copy all sound rows and return how many of each table."""
    source = _readable(path, target)
    if source is None:
        return {"anything": 0}
    try:
        tables: dict[str, Callable[[Row], bool]] = {
            "host": lambda row: row_sum(*row[:-1]) == row[-1],
            "epoch": lambda row: row_sum(*row[:-1]) == row[-1],
            "refusal": lambda row: row_sum(*row[:-1]) == row[-1],
            "lost": lambda _: True,
            "frame": _is_sound_frame,
            "segment": _is_sound_segment,
            "series": _is_sound_block,
            "event": lambda row: row_sum(*row[1:-1]) == row[-1],
        }
        kept = {table: _copy_table(source, target, table, is_right, damage) for table, is_right in tables.items()}
    finally:
        source.close()
        for copy in _files(path.with_name(_RESCUED)):
            copy.unlink(missing_ok=True)
    _name_the_nameless(target)
    target.execute(
        "INSERT OR IGNORE INTO lost (host, after_at) SELECT host, max(at) FROM "
        "(SELECT host, at FROM frame UNION ALL SELECT host, last_at FROM segment) GROUP BY host"
    )
    return kept


def _readable(path: Path, like: StoreConnection) -> StoreConnection | None:
    """Open a damaged database; where its first page is of no use, a copy of it with that of a new one."""
    expected = schema_of(like)
    copy = path.with_name(_RESCUED)
    for attempt in (path, copy):
        connection = None
        try:
            if attempt is copy:
                _transplant(path, copy)
            connection = connect(attempt)
            connection.execute("PRAGMA cell_size_check = OFF")
            if schema_of(connection) == expected:
                return connection
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            _LOG.error("%s can't be read: %s", attempt.name, error)
        if connection is not None:
            connection.close()
    return None


def _transplant(path: Path, copy: Path) -> None:
    """Copy a database and give it the first page of a new one: in all of this format tables begin at the same pages."""
    fresh = path.with_name("history.fresh.sqlite3")
    for one in (*_files(fresh), *_files(copy)):
        one.unlink(missing_ok=True)
    empty = connect(fresh, writes=True)
    migrate(empty)
    empty.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    empty.close()
    shutil.copyfile(path, copy)
    first = bytearray(fresh.read_bytes()[:_PAGE])
    # The database's size in pages (fileformat2, section 1.3.8).
    first[28:32] = (copy.stat().st_size // _PAGE).to_bytes(4, "big")
    with copy.open("r+b") as file:
        file.write(first)
    for one in _files(fresh):
        one.unlink(missing_ok=True)


def _copy_table(
    source: StoreConnection, target: StoreConnection, table: str, is_right: Callable[[Row], bool], damage: Damage
) -> int:
    columns = [row[1] for row in target.execute(f"PRAGMA table_info({table})")]
    names, marks = ", ".join(columns), ", ".join("?" * len(columns))
    has_rowid = table not in {"epoch", "refusal", "lost"}
    kept = 0
    for number, row in enumerate(_rows(source, table, names, has_rowid)):
        try:
            right = is_right(row)
        except (TypeError, AttributeError):  # a column of another type than was written
            right = False
        if not right:
            damage.note(f"{table}, row {number} of the database that was moved aside")
            continue
        kept += target.execute(f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})", row).rowcount  # noqa: S608 - names of this format's columns
    return kept


def _rows(source: StoreConnection, table: str, names: str, has_rowid: bool) -> Iterator[Row]:
    """Yield the rows that can be read; behind one that can't, those further on are looked for, ever further."""
    if not has_rowid:
        yield from _until_damage(source, f"SELECT {names} FROM {table}")  # noqa: S608 - names of this format's columns
        return
    last, step = -1, 0
    while step < _FARTHEST:
        found = False
        query = f"SELECT rowid, {names} FROM {table} NOT INDEXED WHERE rowid > {last + step} ORDER BY rowid"  # noqa: S608 - as above
        for rowid, *row in _until_damage(source, query):
            if isinstance(rowid, int) and rowid > last:
                found, last = True, rowid
                yield row
        step = 1 if found else max(1, step * 2)


def _until_damage(source: StoreConnection, query: str) -> Iterator[Row]:
    try:
        yield from source.execute(query)
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        return


def _is_sound_frame(row: Row) -> bool:
    host, order, seq, at, revision, _, blob = row
    return is_sound(blob, frame_place(host, order, seq, at, revision))


def _is_sound_segment(row: Row) -> bool:
    blob, breaks, checksum = row[-3:]
    return row_sum(*row[1:-3], breaks) == checksum and is_sound(blob, segment_place(*row[1:6]))


def _is_sound_block(row: Row) -> bool:
    host, step, first_at, _, blob = row
    return is_sound(blob, series_place(host, step, first_at))


def _name_the_nameless(target: StoreConnection) -> None:
    """Give back machines and runs whose own rows are lost: a name is in the states, a run's number in the frames."""
    orphans = target.execute(
        "SELECT DISTINCT host FROM (SELECT host FROM frame UNION SELECT host FROM segment) "
        "WHERE host NOT IN (SELECT num FROM host)"
    ).fetchall()
    for (host,) in orphans:
        host_id = next(_names_in_states(target, host), None)
        if host_id is not None:
            target.execute(
                "INSERT OR IGNORE INTO host (num, host_id, sum) VALUES (?, ?, ?)",
                (host, host_id, row_sum(host, host_id)),
            )
    runs = target.execute(
        "SELECT host, ord FROM frame UNION SELECT host, ord FROM segment EXCEPT SELECT host, ord FROM epoch"
    ).fetchall()
    for host, order in runs:
        values = (host, order, f"{SALVAGED}{order}", 0.0)
        target.execute(
            "INSERT INTO epoch (host, ord, epoch, clock_offset, sum) VALUES (?, ?, ?, ?, ?)",
            (*values, row_sum(*values)),
        )


def _names_in_states(target: StoreConnection, host: int) -> Iterator[str]:
    rows = target.execute(
        "SELECT host, ord, seq, at, revision, blob FROM frame WHERE host = ? AND keyframe", (host,)
    ).fetchall()
    segments = target.execute(
        "SELECT host, ord, first_seq, last_seq, first_at, blob FROM segment WHERE host = ? AND anchor IS NULL", (host,)
    ).fetchall()
    for *place, blob in rows:
        yield from _name_in(blob, frame_place(*place), lambda value: value[4])
    for *place, blob in segments:
        yield from _name_in(blob, segment_place(*place), lambda value: value[0][7])


def _name_in(blob: bytes, place: str, state_in: Callable[[Any], bytes]) -> Iterator[str]:
    try:
        yield msgspec.json.decode(state_in(opened(blob, place)))["host_id"]
    except (DamagedBlobError, msgspec.MsgspecError):
        return
