"""One answer made of the answers of several bridges, each of its own machines."""

from collections.abc import Sequence

from safetytwin.bridge.routes.answers import AiHosts, EventList, HostList, StoredEvent, UnknownHost
from safetytwin.bridge.routes.table import Call
from safetytwin.models.timestamps import seconds_of


def merged_hosts(parts: Sequence[HostList], call: Call, usual: int) -> HostList:
    """Return a page of machines by id: up to where the first of the bridges' pages ends, and no more than asked for."""
    limit: int = call["limit"] or usual
    end = min((part.next for part in parts if part.next is not None), default=None)
    rows = {row.host_id: row for part in parts for row in part.hosts if end is None or row.host_id <= end}
    page = [rows[host_id] for host_id in sorted(rows)][:limit]
    if len(rows) > limit:
        end = page[-1].host_id
    unknown: dict[str, UnknownHost] = {}
    count = 0
    for part in parts:
        beyond = [one for one in part.unknown if end is not None and one.host_id > end]
        count += part.unknown_count - len(beyond)
        unknown |= {one.host_id: one for one in part.unknown if one not in beyond}
    most = max((len(part.unknown) for part in parts), default=0)
    return HostList(page, end, [unknown[host_id] for host_id in sorted(unknown)][:most], count)


def merged_events(parts: Sequence[EventList], call: Call, usual: int) -> EventList:
    """Return a page of events by their moment, newest first."""
    limit: int = call["limit"] or usual
    known = {event.id: event for part in parts for event in part.events}
    events = sorted(known.values(), key=lambda event: (seconds_of(event.at), event.id), reverse=True)
    more = len(events) > limit or any(part.next is not None for part in parts)
    page = events[:limit]
    return EventList(page, _cursor(page[-1]) if more and page else None)


def merged_ai(parts: Sequence[AiHosts], call: Call) -> AiHosts:  # noqa: ARG001 - as every merge
    """Return the AI workloads of all machines, by id."""
    hosts = {host.host_id: host for part in parts for host in part.hosts}
    return AiHosts([hosts[host_id] for host_id in sorted(hosts)])


def _cursor(event: StoredEvent) -> str:
    """Return a cursor that stands behind an event in the list of any bridge, also of one that does not have it."""
    return f"{event.id}@{event.at}"
