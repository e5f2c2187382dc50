"""Routes that show machines: now, then, and what changed."""

import functools
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response

from safetytwin.bridge.problems import Problem
from safetytwin.bridge.routes import parameters as p
from safetytwin.bridge.routes.answers import (
    AiHosts,
    Difference,
    EventList,
    HostList,
    Moments,
    SeriesNames,
    SeriesSet,
)
from safetytwin.bridge.routes.merging import merged_ai, merged_events, merged_hosts
from safetytwin.bridge.routes.table import Answer, Call, Endpoint, Parameter
from safetytwin.models.timestamps import timestamp
from safetytwin.questions.parser import LONGEST, parse_question

if TYPE_CHECKING:
    from safetytwin.bridge.app import Bridge

_HOSTS_PER_PAGE = 500
_EVENTS_PER_PAGE = 100
_POINTS = 500


async def list_hosts(bridge: "Bridge", call: Call) -> HostList:
    """List machines by id: all, or those that a question is true of."""
    return await bridge.keeper.hosts(call["limit"] or _HOSTS_PER_PAGE, call["cursor"], call["where"])


async def show_host(bridge: "Bridge", call: Call) -> Response | Answer:
    """Show a machine's state, now or then."""
    seen = await bridge.keeper.state(call.host_id, call["at"])
    etag = f'"{seen.revision}"'
    headers = {
        "ETag": etag,
        "Cache-Control": "no-cache",
        "SafetyTwin-Revision": str(seen.revision),
        "SafetyTwin-At": timestamp(seen.at) or "",
        "SafetyTwin-Observed-At": seen.observed_at,
    }
    if _matches(call.request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    fields: list[str] | None = call["fields"]
    if fields is None:
        return Answer(seen.state, headers)
    return Answer(_picked(msgspec.json.decode(seen.state), fields), headers)


def _matches(header: str, etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in tags or etag in tags


def _picked(state: dict[str, Any], fields: list[str]) -> dict[str, Any]:
    """Return the named parts of a state in their places; what the state does not have is left out."""
    picked: dict[str, Any] = {}
    for field in fields:
        *steps, last = field.split(".")
        source: Any = state
        target = picked
        for step in steps:
            source = source.get(step) if isinstance(source, dict) else None
            if not isinstance(source, dict):
                break
            target = target.setdefault(step, {})
        if isinstance(source, dict) and last in source:
            value = source[last]
            already = target.get(last)
            target[last] = {**value} if isinstance(value, dict) and not isinstance(already, dict) else value
    return picked


async def forget_host(bridge: "Bridge", call: Call) -> Response:
    """Forget a machine and its history."""
    await bridge.keeper.forget(call.host_id)
    return Response(status_code=204)


async def difference(bridge: "Bridge", call: Call) -> Difference:
    """Say what changed between two moments."""
    if call["from"] is None:
        raise Problem(422, "Say from when: ?from=-1h", field="?from", example="-1h")
    _check_order(call)
    return await bridge.keeper.difference(call.host_id, call["from"], call["to"], everything=bool(call["all"]))


async def host_events(bridge: "Bridge", call: Call) -> EventList:
    """List the events of a machine."""
    return await _events(bridge, call, call.host_id)


async def all_events(bridge: "Bridge", call: Call) -> EventList:
    """List the events of all machines."""
    return await _events(bridge, call, None)


async def _events(bridge: "Bridge", call: Call, host_id: str | None) -> EventList:
    _check_order(call)
    return await bridge.keeper.events(
        host_id,
        call["from"],
        call["to"],
        call["kind"] or (),
        call["subject"],
        call["limit"] or _EVENTS_PER_PAGE,
        call["cursor"],
    )


async def series(bridge: "Bridge", call: Call) -> SeriesSet:
    """Give gauges over time."""
    if call["names"] is None:
        raise Problem(422, "Say which series: ?names=…; series/names lists them.", field="?names")
    _check_order(call)
    return await bridge.keeper.series(call.host_id, call["names"], call["from"], call["to"], call["points"] or _POINTS)


async def series_names(bridge: "Bridge", call: Call) -> SeriesNames:
    """List the series of a machine."""
    return await bridge.keeper.series_names(call.host_id)


async def moments(bridge: "Bridge", call: Call) -> Moments:
    """Say which moments of a machine can be shown."""
    _check_order(call)
    return await bridge.keeper.moments(call.host_id, call["from"], call["to"])


async def ai_hosts(bridge: "Bridge", call: Call) -> AiHosts:  # noqa: ARG001 - as every handler
    """Say which machines serve which models."""
    return await bridge.keeper.ai()


def _check_order(call: Call) -> None:
    begin, end = call["from"], call["to"]
    if begin is not None and end is not None and begin > end:
        raise Problem(422, "from is after to.", field="?from")


_SPAN = (p.FROM, p.TO)
_WHERE = Parameter(
    "where",
    "Only machines that this is true of; docs/fleet.md has the language. A page may hold fewer than limit.",
    {"type": "string", "minLength": 1, "maxLength": LONGEST},
    parse_question,
    example='model ~ "llama" and gpu.memory_free > 8GiB',
)
_EVENT_PARAMETERS = (*_SPAN, p.KIND, p.SUBJECT, p.limit(1000, _EVENTS_PER_PAGE), p.CURSOR)

ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v1/hosts",
        list_hosts,
        "List machines.",
        HostList,
        parameters=(_WHERE, p.limit(1000, _HOSTS_PER_PAGE), p.CURSOR),
        fleet=functools.partial(merged_hosts, usual=_HOSTS_PER_PAGE),
    ),
    Endpoint(
        "GET",
        "/api/v1/hosts/{host_id}",
        show_host,
        "Show a machine's state, now or at a moment.",
        # With fields it is a part of a SystemState; without, all of one.
        dict[str, Any],
        parameters=(p.HOST_ID, p.AT, p.FIELDS),
        etag=True,
    ),
    Endpoint(
        "DELETE",
        "/api/v1/hosts/{host_id}",
        forget_host,
        "Forget a machine and its history.",
        None,
        parameters=(p.HOST_ID,),
        status=204,
        problems=(503, 507),
    ),
    Endpoint(
        "GET",
        "/api/v1/hosts/{host_id}/diff",
        difference,
        "What changed between two moments.",
        Difference,
        parameters=(p.HOST_ID, *_SPAN, p.ALL),
    ),
    Endpoint(
        "GET",
        "/api/v1/hosts/{host_id}/events",
        host_events,
        "Events of a machine, newest first.",
        EventList,
        parameters=(p.HOST_ID, *_EVENT_PARAMETERS),
    ),
    Endpoint(
        "GET",
        "/api/v1/events",
        all_events,
        "Events of all machines, newest first.",
        EventList,
        _EVENT_PARAMETERS,
        fleet=functools.partial(merged_events, usual=_EVENTS_PER_PAGE),
    ),
    Endpoint(
        "GET",
        "/api/v1/hosts/{host_id}/series",
        series,
        "Gauges over time.",
        SeriesSet,
        parameters=(p.HOST_ID, p.SERIES, *_SPAN, p.POINTS),
    ),
    Endpoint(
        "GET",
        "/api/v1/hosts/{host_id}/series/names",
        series_names,
        "Which series there are.",
        SeriesNames,
        parameters=(p.HOST_ID,),
    ),
    Endpoint(
        "GET",
        "/api/v1/hosts/{host_id}/moments",
        moments,
        "What the time slider may offer.",
        Moments,
        parameters=(p.HOST_ID, *_SPAN),
    ),
    Endpoint("GET", "/api/v1/ai", ai_hosts, "Which machines serve which models.", AiHosts, fleet=merged_ai),
)
