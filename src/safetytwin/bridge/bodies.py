"""Request bodies: read, inflated and decoded within the limits."""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from starlette.requests import Request

from safetytwin.bridge.limits import MIB, Limits, check_count, check_depth, inflate, read_body
from safetytwin.bridge.problems import Problem

if TYPE_CHECKING:
    from safetytwin.bridge.app import Bridge

T = TypeVar("T")

_QUICK_UP_TO = 128 * 1024
"""Bytes of a body that are inflated between two other requests without holding them up."""


async def inflated(bridge: "Bridge", request: Request) -> bytes:
    """Return the body of a request without its Content-Encoding; large ones are inflated beside the event loop."""
    body = await read_body(request, bridge.limits)
    encoding = request.headers.get("content-encoding", "")
    data = _inflated_at_once(body, encoding, bridge.limits)
    if data is None:
        async with bridge.large_bodies:
            data = await asyncio.to_thread(inflate, body, encoding, bridge.limits)
    bridge.metrics.body_bytes.add(len(body), form="wire")
    bridge.metrics.body_bytes.add(len(data), form="inflated")
    return data


def _inflated_at_once(body: bytes, encoding: str, limits: Limits) -> bytes | None:
    """Return the body inflated where that is quick, else None."""
    if len(body) > _QUICK_UP_TO:
        return None
    try:
        return inflate(body, encoding, replace(limits, inflated=min(MIB, limits.inflated)))
    except Problem as problem:
        if problem.status != 413:
            raise
        return None


def decoded(data: bytes, kind: type[T] | Any, limits: Limits) -> Any:
    """Return JSON as the type it must be; raises Problem 400 where it is no JSON, 422 where it is another type."""
    check_count(data, limits)
    try:
        value = msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `")
        raise Problem(422, f"{text}.", field=path.rstrip("`") or "$") from None
    except msgspec.DecodeError as error:
        raise Problem(400, f"The body is no JSON: {error}. (JSON has no NaN and no Infinity: write null.)") from None
    except UnicodeDecodeError as error:
        raise Problem(400, f"The body is not UTF-8: {error.reason} at byte {error.start}.") from None
    except RecursionError:
        raise Problem(422, f"The body is nested deeper than {limits.depth} levels.") from None
    check_depth(data, limits)
    return value
