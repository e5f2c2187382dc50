"""The database's tables, and how an older one is brought up to date."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from safetytwin.bridge.stores.base import StoreDamagedError, StoreError
from safetytwin.bridge.stores.blobs import Damage, row_sum

_FIRST = """
CREATE TABLE host (num INTEGER PRIMARY KEY AUTOINCREMENT, host_id TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE epoch (
  host INTEGER NOT NULL, ord INTEGER NOT NULL, epoch TEXT NOT NULL, clock_offset REAL NOT NULL,
  PRIMARY KEY (host, ord), UNIQUE (host, epoch)
) STRICT, WITHOUT ROWID;
CREATE TABLE frame (
  host INTEGER NOT NULL, ord INTEGER NOT NULL, seq INTEGER NOT NULL, at REAL NOT NULL, revision INTEGER NOT NULL,
  keyframe INTEGER NOT NULL, blob BLOB NOT NULL,
  UNIQUE (host, ord, seq)
) STRICT;
CREATE INDEX frame_at ON frame (host, at);
CREATE TABLE segment (
  id INTEGER PRIMARY KEY AUTOINCREMENT, host INTEGER NOT NULL, ord INTEGER NOT NULL,
  first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, first_at REAL NOT NULL, last_at REAL NOT NULL,
  last_revision INTEGER NOT NULL, frames INTEGER NOT NULL, anchor INTEGER, spacing INTEGER NOT NULL DEFAULT 0,
  gaps TEXT NOT NULL DEFAULT '[]', blob BLOB NOT NULL,
  UNIQUE (host, ord, first_seq)
) STRICT;
CREATE INDEX segment_at ON segment (host, first_at);
CREATE INDEX segment_age ON segment (spacing, last_at);
CREATE INDEX segment_anchor ON segment (anchor) WHERE anchor IS NOT NULL;
CREATE TABLE series (
  host INTEGER NOT NULL, step INTEGER NOT NULL, first_at REAL NOT NULL, last_at REAL NOT NULL, blob BLOB NOT NULL,
  UNIQUE (host, step, first_at)
) STRICT;
CREATE INDEX series_age ON series (step, last_at);
CREATE TABLE event (
  id INTEGER PRIMARY KEY AUTOINCREMENT, host INTEGER NOT NULL, at REAL NOT NULL, kind TEXT NOT NULL,
  severity TEXT NOT NULL, subject TEXT NOT NULL, text TEXT NOT NULL, details TEXT, count INTEGER, last_at TEXT
) STRICT;
CREATE INDEX event_host ON event (host, id);
CREATE INDEX event_at ON event (at);
"""

_SUMS = """
ALTER TABLE host ADD COLUMN sum INTEGER;
UPDATE host SET sum = row_sum(num, host_id);
ALTER TABLE epoch ADD COLUMN sum INTEGER;
UPDATE epoch SET sum = row_sum(host, ord, epoch, clock_offset);
ALTER TABLE segment ADD COLUMN breaks INTEGER NOT NULL DEFAULT 1;
ALTER TABLE segment ADD COLUMN sum INTEGER;
UPDATE segment SET sum = row_sum(host, ord, first_seq, last_seq, first_at, last_at, last_revision, frames, anchor,
  spacing, gaps, breaks);
CREATE INDEX segment_break ON segment (host, first_at) WHERE breaks;
DROP INDEX segment_at;
CREATE INDEX segment_at ON segment (host, first_at, last_at, frames, gaps, ord, first_seq, last_seq);
ALTER TABLE event ADD COLUMN sum INTEGER;
UPDATE event SET sum = row_sum(host, at, kind, severity, subject, text, details, count, last_at);
DROP INDEX event_host;
CREATE INDEX event_host ON event (host, at, id);
DROP INDEX event_at;
CREATE INDEX event_at ON event (at, id);
CREATE TABLE refusal (
  host INTEGER NOT NULL, epoch TEXT NOT NULL, boot TEXT, at REAL NOT NULL, sum INTEGER,
  PRIMARY KEY (host, epoch)
) STRICT, WITHOUT ROWID;
CREATE TABLE lost (
  host INTEGER NOT NULL, after_at REAL NOT NULL, PRIMARY KEY (host, after_at)
) STRICT, WITHOUT ROWID;
"""

MIGRATIONS: tuple[str, ...] = (_FIRST, _SUMS)
"""What makes each version of the format of the one before; the first makes version 1 of an empty file."""


class StoreConnection(sqlite3.Connection):
    """A connection that knows where to count what it finds damaged."""

    damage: Damage


def connect(path: Path, *, writes: bool = False, damage: Damage | None = None) -> StoreConnection:
    """Open the database for one thread at a time."""
    connection = sqlite3.connect(
        path, timeout=10, isolation_level=None, check_same_thread=False, factory=StoreConnection
    )
    try:
        _set_up(connection, writes=writes)
    except BaseException:
        connection.close()
        raise
    connection.damage = Damage() if damage is None else damage
    return connection


def _set_up(connection: StoreConnection, *, writes: bool) -> None:
    # What is no UTF-8 any more is damaged: its checksum says so.
    connection.text_factory = lambda text: text.decode("utf-8", "replace")
    connection.create_function("row_sum", -1, row_sum, deterministic=True)
    connection.execute("PRAGMA cell_size_check = ON")
    if writes:
        # Bytes of what is deleted are given back page by page; to be set before the first table is made.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        # A commit returns when the log is on the disk itself: what was acknowledged survives a power cut.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA journal_size_limit = 16777216")
    else:
        connection.execute("PRAGMA query_only = ON")


def migrate(connection: sqlite3.Connection, migrations: Sequence[str] = MIGRATIONS) -> None:
    """Bring the database to the newest format, each step whole or not at all.

    Raises StoreDamagedError of one whose format is not certain, StoreError of a newer one.
    """
    version, stamp = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("user_version", "application_id"))
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if stamp != _stamp(version) or (version == 0 and tables):
        raise StoreDamagedError(f"the format of the database is not certain: {version}, {stamp:#x}")
    if version > len(migrations):
        raise StoreError(
            f"The store has format {version}, this version of SafetyTwin knows {len(migrations)}: "
            "run the version that wrote it, or a later one."
        )
    for number, script in enumerate(migrations[version:], version + 1):
        # sqlite3 knows no parameters in a PRAGMA; number is counted here.
        try:
            connection.executescript(
                f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; "
                f"PRAGMA application_id = {_stamp(number)}; COMMIT;"
            )
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def schema_of(connection: StoreConnection) -> list[tuple[str, ...]]:
    """Return the schema as SQLite keeps it."""
    found: list[tuple[str, ...]] = connection.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name"
    ).fetchall()
    return found


def newest_schema() -> list[tuple[str, ...]]:
    """Return the schema of the newest format."""
    connection = sqlite3.connect(":memory:", isolation_level=None, factory=StoreConnection)
    try:
        connection.create_function("row_sum", -1, row_sum, deterministic=True)
        migrate(connection)
        return schema_of(connection)
    finally:
        connection.close()


def _stamp(version: int) -> int:
    """Return the application id that goes with a format: the number again, so that neither is believed alone."""
    return 0 if version < 2 else 0x53540000 + version % 0x10000
