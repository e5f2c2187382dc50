"""Routes that take states in: frames from agents, whole states from anyone's script."""

import asyncio
import time
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response

from safetytwin.bridge.bodies import decoded, inflated
from safetytwin.bridge.foreign_states import ForeignStateError, understand
from safetytwin.bridge.problems import Problem
from safetytwin.bridge.routes import parameters as p
from safetytwin.bridge.routes.answers import Taken, Updated
from safetytwin.bridge.routes.table import FORWARDED, Call, Endpoint
from safetytwin.models.change import Frame
from safetytwin.models.system_state import SystemState
from safetytwin.redaction import Redactor

if TYPE_CHECKING:
    from safetytwin.bridge.app import Bridge

MAX_FRAMES = 1000
"""In one request."""
_LARGE = 256 * 1024
"""Bytes of JSON that are better not walked between two other requests."""


async def take_frames(bridge: "Bridge", call: Call) -> Taken:
    """Apply the frames of an agent; answers when they are on disk."""
    bridge.authorize_host(call.token, call.host_id)
    data = await inflated(bridge, call.request)
    received_at, began = time.time(), time.monotonic()
    frames: list[Frame] = decoded(data, list[Frame], bridge.limits)
    _check_frames(frames, call.host_id)
    taken = await bridge.keeper.take(call.host_id, frames, received_at)
    bridge.metrics.frames.add(taken.accepted, result="accepted")
    bridge.metrics.frames.add(taken.duplicates, result="duplicate")
    bridge.metrics.ingest_seconds.observe(time.monotonic() - began)
    return taken


def _check_frames(frames: list[Frame], host_id: str) -> None:
    if not 1 <= len(frames) <= MAX_FRAMES:
        raise Problem(422, f"A request holds 1 to {MAX_FRAMES} frames.", field="$")
    for index, frame in enumerate(frames):
        if frame.host_id != host_id:
            raise Problem(
                422, f"The frame is of {frame.host_id!r}, the path of {host_id!r}.", field=f"$[{index}].host_id"
            )
        if (frame.state is None) == (frame.kind == "full") or (frame.change is None) == (frame.kind == "change"):
            other = "state" if frame.kind == "full" else "change"
            raise Problem(
                422, f"A frame of kind {frame.kind} holds {other!r} and no other.", field=f"$[{index}].{other}"
            )


async def update_state(bridge: "Bridge", call: Call) -> Updated | Response:
    """Apply a whole state as anyone's script writes it."""
    data = await inflated(bridge, call.request)
    value = decoded(data, Any, bridge.limits)
    received_at = time.time()
    if len(data) > _LARGE:
        state = await asyncio.to_thread(_understood, value, received_at)
    else:
        state = _understood(value, received_at)
    bridge.authorize_host(call.token, state.host_id)
    if bridge.cluster is not None and FORWARDED not in call.request.scope:
        answer = await bridge.cluster.forwarded(call, state.host_id, msgspec.json.encode(state))
        if answer is not None:
            return answer
    updated = await bridge.keeper.update(state, received_at)
    bridge.metrics.frames.add(result=updated.status)
    return updated


def _understood(value: Any, received_at: float) -> SystemState:
    try:
        # Scripts know nothing of redaction; what is kept here holds no secret, whoever sent it.
        return Redactor().redact(understand(value, received_at))
    except ForeignStateError as error:
        raise Problem(422, str(error), field=error.field, example=error.example) from None


_FRAME = {
    "host_id": "atlas",
    "epoch": "0123456789abcdef",
    "seq": 0,
    "kind": "full",
    "observed_at": "2026-01-31T14:00:00Z",
    "monotonic": 3600.5,
    "state": {
        "schema": 1,
        "host_id": "atlas",
        "seq": 0,
        "timestamp": "2026-01-31T14:00:00Z",
        "hardware": {"hostname": "atlas"},
        "services": [],
        "processes": [],
        "agent": {"version": "0.1.0", "backend": "proc", "collectors": {}},
    },
}
_STATE: dict[str, Any] = {
    "timestamp": 1769868000,
    "hardware": {"hostname": "atlas", "cpu": {"physical_cores": 8}},
    "services": ["ssh"],
    "processes": [{"pid": 1, "name": "systemd"}],
}

ENDPOINTS = (
    Endpoint(
        "POST",
        "/api/v1/hosts/{host_id}/frames",
        take_frames,
        "Take frames of an agent (docs/protocol.md).",
        Taken,
        parameters=(p.HOST_ID,),
        body=list[Frame],
        example=[_FRAME],
        problems=(408, 409, 413, 415, 503, 507),
        access="agent",
    ),
    Endpoint(
        "POST",
        "/api/v1/update_state",
        update_state,
        "Take a whole state, as any script writes it.",
        Updated,
        body=dict[str, Any],
        # What curl says of a body that it sends with -d; and what is said of files.
        also_called=("application/x-www-form-urlencoded", "text/plain", "text/json", "application/octet-stream"),
        example=_STATE,
        problems=(408, 409, 413, 415, 503, 507),
        access="agent",
    ),
)
