"""Events in SQLite."""

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from safetytwin.bridge.stores.base import EventQuery, KeptEvent
from safetytwin.models.event import Event
from safetytwin.models.timestamps import seconds_of, timestamp

_COLUMNS = "event.id, host_id, event.at, kind, severity, subject, text, details, count, last_at"


def write_event(connection: sqlite3.Connection, host_id: str, host: int, event: Event) -> KeptEvent:
    """Insert an event and return it with its number."""
    details = None if event.details is None else msgspec.json.encode(event.details).decode()
    cursor = connection.execute(
        "INSERT INTO event (host, at, kind, severity, subject, text, details, count, last_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            host,
            seconds_of(event.at),
            event.kind,
            event.severity,
            event.subject,
            event.text,
            details,
            event.count,
            event.last_at,
        ),
    )
    return KeptEvent(cursor.lastrowid or 0, host_id, event)


def read_events(connection: sqlite3.Connection, query: EventQuery, host: int | None) -> list[KeptEvent]:
    """Return events, newest first."""
    terms: list[str] = []
    values: list[Any] = []
    for term, value in (
        ("event.host = ?", host),
        ("event.at >= ?", query.begin),
        ("event.at <= ?", query.end),
        ("subject = ?", query.subject),
        ("event.id < ?", query.before),
    ):
        if value is not None:
            terms.append(term)
            values.append(value)
    if query.kinds:
        either = []
        for kind in query.kinds:
            exact = not kind.endswith("*")
            either.append("kind = ?" if exact else "substr(kind, 1, ?) = ?")
            values += [kind] if exact else [len(kind) - 1, kind[:-1]]
        terms.append(f"({' OR '.join(either)})")
    where = f"WHERE {' AND '.join(terms)}" if terms else ""
    found = connection.execute(
        f"SELECT {_COLUMNS} FROM event JOIN host ON host.num = event.host {where} ORDER BY event.id DESC LIMIT ?",  # noqa: S608 - the terms above; values are parameters
        (*values, query.limit),
    )
    return [_event(row) for row in found]


def _event(row: Sequence[Any]) -> KeptEvent:
    number, host_id, at, kind, severity, subject, text, details, count, last_at = row
    return KeptEvent(
        number,
        host_id,
        Event(timestamp(at) or "", kind, severity, subject, text, _details(details), count, last_at),
    )


def _details(text: str | None) -> dict[str, Any] | None:
    return None if text is None else msgspec.json.decode(text)
