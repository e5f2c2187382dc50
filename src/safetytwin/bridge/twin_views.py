"""What of twins and history the API shows, made into its answers."""

from collections.abc import Iterable, Sequence

import msgspec

from safetytwin.bridge.problems import Problem
from safetytwin.bridge.routes.answers import (
    AiHost,
    Difference,
    EventList,
    Gap,
    HostList,
    HostRow,
    Moment,
    Moments,
    Series,
    SeriesSet,
    StoredEvent,
    UnknownHost,
)
from safetytwin.bridge.series import unit_of
from safetytwin.bridge.stores.base import EventQuery, KeptEvent, PastState, Span, Store
from safetytwin.bridge.twins import Host
from safetytwin.changes.diff import diff
from safetytwin.changes.significance import significant
from safetytwin.changes.twin import Twin
from safetytwin.models.system_state import SystemState
from safetytwin.models.timestamps import seconds_of, timestamp
from safetytwin.questions.asking import Asked

_EVENTS_OF_A_DIFFERENCE = 1000


def asked_list(rows: list[HostRow], asked: Asked) -> HostList:
    """Return the answer to a question: the rows of the machines that match, and which could not be judged."""
    unknown = [UnknownHost(view.host_id, view.hostname, because) for view, because in asked.unknown]
    return HostList(rows, asked.next, unknown, asked.unknown_count)


def difference_of(store: Store, host_id: str, begin: float, end: float, everything: bool) -> Difference:
    """Return what changed on a machine between two moments; raises StateMissingError."""
    old, new = store.state_at(host_id, begin), store.state_at(host_id, end)
    change = diff(_typed(old), _typed(new))
    if not everything:
        change = significant(change, Twin(msgspec.json.decode(old.state)).apply(change))
    found = store.events(EventQuery(host_id, begin, end, limit=_EVENTS_OF_A_DIFFERENCE))
    return Difference(_moment(old), _moment(new), change, stored_events(found))


def _typed(past: PastState) -> SystemState:
    return msgspec.json.decode(past.state, type=SystemState)


def _moment(past: PastState) -> Moment:
    return Moment(_written(past.frame.at), past.frame.revision)


def event_list(
    store: Store,
    host_id: str | None,
    begin: float | None,
    end: float | None,
    kinds: Sequence[str],
    subject: str | None,
    limit: int,
    cursor: str | None,
) -> EventList:
    """Return a page of events; the cursor is the number of the last one of the page before, with or without @moment."""
    before, before_at = (None, None) if cursor is None else _before(cursor)
    found = store.events(EventQuery(host_id, begin, end, kinds, subject, before, limit + 1, before_at))
    page = stored_events(found[:limit])
    return EventList(page, str(page[-1].id) if len(found) > limit else None)


def _before(cursor: str) -> tuple[int, float | None]:
    number, separator, at = cursor.partition("@")
    try:
        if number.isascii() and number.isdecimal() and len(number) <= 16:
            return int(number), seconds_of(at) if separator else None
    except ValueError:
        pass
    raise Problem(422, "That is no cursor of a page of events.", field="?cursor")


def stored_events(events: Iterable[KeptEvent]) -> list[StoredEvent]:
    """Return events as the API shows them."""
    return [
        StoredEvent(
            kept.id,
            kept.host_id,
            kept.event.at,
            kept.event.kind,
            kept.event.severity,
            kept.event.subject,
            kept.event.text,
            kept.event.details,
            kept.event.count,
            kept.event.last_at,
        )
        for kept in events
    ]


def series_set(store: Store, host_id: str, names: Sequence[str], begin: float, end: float, points: int) -> SeriesSet:
    """Return series of a machine in at most so many points; a name that there is none of is left out."""
    step = (end - begin) / points
    found = store.series(host_id, names, begin, end, step)
    series = {
        name: Series([*one.at], [*one.mean], [*one.min], [*one.max], unit_of(name)) for name, one in found.items()
    }
    return SeriesSet(begin, end, step, series)


def moments_of(span: Span) -> Moments:
    """Return what there is of a machine as the API shows it."""
    gaps = [Gap(_written(begin), _written(end)) for begin, end in span.gaps]
    first = None if span.first is None else timestamp(span.first)
    last = None if span.last is None else timestamp(span.last)
    return Moments(span.revisions, gaps, first, last)


def ai_of(host: Host) -> AiHost:
    """Return the AI workloads and models of a machine."""
    return AiHost(
        host.host_id,
        list(host.twin.items("ai.workloads").values()),
        list(host.twin.items("ai.models").values()),
        host.hostname,
        host.observed_at,
    )


def _written(at: float) -> str:
    return timestamp(at) or ""
