"""The SQLite file: its tables, its version, how an older one is brought up to date, and what is saved of a damaged one."""

import logging
import os
import sqlite3
import time
from pathlib import Path

from safetytwin.bridge.stores.base import StoreError

LOG = logging.getLogger("safetytwin.bridge")

APPLICATION_ID = 0x53545731
"""STW1: tells file(1) and us that the file is ours."""
VERSION = 2

_VERSION_1 = """
CREATE TABLE hosts (host INTEGER PRIMARY KEY, host_id TEXT NOT NULL UNIQUE, revision INTEGER NOT NULL,
  last_received REAL NOT NULL);
CREATE TABLE epochs (host INTEGER NOT NULL, epoch TEXT NOT NULL, boot_id TEXT, started_at INTEGER NOT NULL,
  last_seq INTEGER NOT NULL, last_at INTEGER NOT NULL, last_monotonic REAL NOT NULL, spans TEXT NOT NULL,
  PRIMARY KEY (host, epoch)) WITHOUT ROWID;
CREATE TABLE frames (host INTEGER NOT NULL, at INTEGER NOT NULL, revision INTEGER NOT NULL, epoch TEXT NOT NULL,
  seq INTEGER NOT NULL, observed_at TEXT NOT NULL, received_at REAL NOT NULL, whole BLOB, change BLOB);
CREATE UNIQUE INDEX frames_at ON frames (host, at);
CREATE UNIQUE INDEX frames_seq ON frames (host, epoch, seq);
CREATE TABLE blocks (host INTEGER NOT NULL, begins INTEGER NOT NULL, ends INTEGER NOT NULL, frames INTEGER NOT NULL,
  data BLOB NOT NULL);
CREATE UNIQUE INDEX blocks_begin ON blocks (host, begins);
CREATE TABLE block_epochs (host INTEGER NOT NULL, epoch TEXT NOT NULL, first_seq INTEGER NOT NULL,
  last_seq INTEGER NOT NULL, begins INTEGER NOT NULL, PRIMARY KEY (host, epoch, first_seq)) WITHOUT ROWID;
CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, host INTEGER NOT NULL, at INTEGER NOT NULL, kind TEXT NOT NULL,
  severity TEXT NOT NULL, subject TEXT NOT NULL, text TEXT NOT NULL, details TEXT, count INTEGER, last_at TEXT);
CREATE INDEX events_of_host ON events (host, at);
CREATE INDEX events_at ON events (at);
CREATE TABLE series (host INTEGER NOT NULL, level INTEGER NOT NULL, begins INTEGER NOT NULL, ends INTEGER NOT NULL,
  data BLOB NOT NULL, PRIMARY KEY (host, level, begins)) WITHOUT ROWID;
"""

_MIGRATIONS = {
    # version before: what makes the next one of it
    0: _VERSION_1,
    1: "CREATE INDEX block_epochs_begin ON block_epochs (host, begins);",
}


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open the file; raises sqlite3.Error."""
    address = f"{path.resolve().as_uri()}?mode={'ro' if read_only else 'rwc'}"
    connection = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False, timeout=30)
    connection.execute("PRAGMA busy_timeout = 30000")
    if not read_only:
        # What is acknowledged must survive a power cut: the log is synced at each commit.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 2000")
    return connection


def open_file(path: Path) -> sqlite3.Connection:
    """Open or make the file and bring it up to date; what can be read of a damaged one is saved into a new one.

    Raises StoreError where the file is another program's or a newer version's, or can't be opened.
    """
    new = not path.exists()
    try:
        connection = connect(path)
        if not new:
            _check(connection, path)
        _migrate(connection, path)
    except sqlite3.DatabaseError as error:
        if new or isinstance(error, sqlite3.OperationalError):
            raise StoreError(f"{path} can't be opened: {error}") from error
        connection = _saved(path, error)
    os.chmod(path, 0o600)
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and application != APPLICATION_ID:
        raise StoreError(f"{path} is no store of SafetyTwin; choose another folder with --data")
    problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if problem != "ok":
        raise sqlite3.DatabaseError(problem)


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise StoreError(f"{path} was written by a newer SafetyTwin (format {version}, this one knows {VERSION}); upgrade")
    while version < VERSION:
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in _MIGRATIONS[version].split(";"):
                if statement.strip():
                    connection.execute(statement)
            version += 1
            # PRAGMA takes no parameters; both are numbers of ours.
            connection.execute(f"PRAGMA user_version = {version}")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def _saved(path: Path, error: sqlite3.DatabaseError) -> sqlite3.Connection:
    """Move a damaged file aside and copy what can be read of it, row by row, into a new one."""
    aside = path.with_name(f"{path.name}.damaged-{int(time.time())}")
    for suffix in ("", "-wal", "-shm"):
        if path.with_name(path.name + suffix).exists():
            os.replace(path.with_name(path.name + suffix), aside.with_name(aside.name + suffix))
    LOG.error("%s is damaged (%s); it was moved to %s and what can be read of it is kept", path, error, aside.name)
    connection = connect(path)
    _migrate(connection, path)
    damaged = sqlite3.connect(f"{aside.resolve().as_uri()}?mode=ro", uri=True)
    try:
        for table in ("hosts", "epochs", "frames", "blocks", "block_epochs", "events", "series"):
            kept = _copy(damaged, connection, table)
            LOG.info("%d rows of %s were kept", kept, table)
    finally:
        damaged.close()
    return connection


def _copy(source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> int:
    """Copy the rows of a table that can be read, from its beginning and, past damage, from its end."""
    columns = [row[1] for row in target.execute(f"PRAGMA table_info({table})")]
    names, marks = ", ".join(columns), ", ".join("?" * len(columns))
    # The table's and columns' names are ours; the values are bound.
    insert = f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})"  # noqa: S608
    key = columns[0]
    before = target.total_changes
    target.execute("BEGIN")
    for direction in ("ASC", "DESC"):
        try:
            rows = source.execute(f"SELECT {names} FROM {table} ORDER BY {key} {direction}")  # noqa: S608
            for row in rows:
                try:
                    target.execute(insert, row)
                except sqlite3.IntegrityError:
                    continue
        except sqlite3.DatabaseError as error:
            LOG.warning("%s: reading %s stopped at a damaged page: %s", table, direction.lower(), error)
            continue
        break
    target.execute("COMMIT")
    return target.total_changes - before
