"""Events in SQLite."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from safetytwin.bridge.stores.base import EventQuery, KeptEvent
from safetytwin.bridge.stores.blobs import row_sum
from safetytwin.bridge.stores.sqlite_schema import StoreConnection
from safetytwin.models.event import Event
from safetytwin.models.timestamps import seconds_of, timestamp

EVENT = "host, at, kind, severity, subject, text, details, count, last_at, sum"


def write_event(
    connection: StoreConnection, host_id: str, host: int, event: Event, *, number: int | None = None
) -> KeptEvent:
    """Insert an event, in the place of the one with this number where it is given; return it with its number."""
    details = None if event.details is None else msgspec.json.encode(event.details).decode()
    values = (
        host,
        seconds_of(event.at),
        event.kind,
        event.severity,
        event.subject,
        event.text,
        details,
        event.count,
        event.last_at,
    )
    cursor = connection.execute(
        f"INSERT OR REPLACE INTO event (id, {EVENT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - names of columns
        (number, *values, row_sum(*values)),
    )
    return KeptEvent(cursor.lastrowid or 0, host_id, event)


def read_events(
    connection: StoreConnection, query: EventQuery, host: int | None, names: Mapping[int, str]
) -> list[KeptEvent]:
    """Return events, newest first; names are the machines' ids by their numbers."""
    found: list[KeptEvent] = []
    for number, *row in _rows(connection, query, host):
        if row[0] not in names or row_sum(*row[:-1]) != row[-1]:
            connection.damage.note(f"event {number}")
            continue
        found.append(_event(number, names[row[0]], row))
        if len(found) == query.limit:
            break
    return found


def _rows(connection: StoreConnection, query: EventQuery, host: int | None) -> Iterator[Sequence[Any]]:
    terms: list[str] = []
    values: list[Any] = []
    for term, value in (
        ("host = ?", host),
        ("at >= ?", query.begin),
        ("at <= ?", query.end),
        ("subject = ?", query.subject),
        ("(at, id) < (SELECT at, id FROM event WHERE id = ?)", query.before if query.before_at is None else None),
    ):
        if value is not None:
            terms.append(term)
            values.append(value)
    if query.before_at is not None:
        terms.append("(at, id) < (?, ?)")
        values += [query.before_at, query.before]
    if query.kinds:
        either = []
        for kind in query.kinds:
            exact = not kind.endswith("*")
            either.append("kind = ?" if exact else "substr(kind, 1, ?) = ?")
            values += [kind] if exact else [len(kind) - 1, kind[:-1]]
        terms.append(f"({' OR '.join(either)})")
    where = f"WHERE {' AND '.join(terms)}" if terms else ""
    found: Iterator[Sequence[Any]] = connection.execute(
        f"SELECT id, {EVENT} FROM event {where} ORDER BY at DESC, id DESC",  # noqa: S608 - the terms above; values are parameters
        values,
    )
    return found


def _event(number: int, host_id: str, row: Sequence[Any]) -> KeptEvent:
    _, at, kind, severity, subject, text, details, count, last_at, _ = row
    return KeptEvent(
        number,
        host_id,
        Event(timestamp(at) or "", kind, severity, subject, text, _details(details), count, last_at),
    )


def _details(text: str | None) -> dict[str, Any] | None:
    return None if text is None else msgspec.json.decode(text)
