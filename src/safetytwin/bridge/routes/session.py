"""Signing in from a browser: a page can't send a header with every request, a cookie goes along by itself."""

from typing import TYPE_CHECKING, Any
from typing import Annotated as A  # noqa: N817 - the fields below are a table, one row each

import msgspec
from starlette.responses import Response

from safetytwin.bridge.auth import COOKIE
from safetytwin.bridge.bodies import decoded, inflated
from safetytwin.bridge.problems import Problem
from safetytwin.bridge.routes.table import Call, Endpoint
from safetytwin.models.fields import Record

if TYPE_CHECKING:
    from safetytwin.bridge.app import Bridge

_DAYS = 30


class SignIn(Record, frozen=True):
    """What a person signs in with."""

    token: A[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,200}\Z", description="A person's token.")]


async def sign_in(bridge: "Bridge", call: Call) -> Response:
    """Set the cookie where the token is a person's."""
    given: SignIn = decoded(await inflated(bridge, call.request), SignIn, bridge.limits)
    response = Response(status_code=204)
    if bridge.door.tokens is None:
        return response
    token = bridge.checked(given.token)
    if token is None or token.kind != "person":
        raise Problem(
            401, "That is no person's token of this bridge. Make one: safetytwin bridge token create --person"
        )
    response.set_cookie(
        COOKIE,
        given.token,
        max_age=_DAYS * 86400,
        path="/",
        secure=bridge.door.secure,
        httponly=True,
        samesite="strict",
    )
    return response


async def sign_out(bridge: "Bridge", call: Call) -> Response:  # noqa: ARG001 - as every handler
    """Remove the cookie; the token itself stays good until it is revoked."""
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, path="/", secure=bridge.door.secure, httponly=True, samesite="strict")
    return response


_BODY: dict[str, Any] = {"token": "st_0123456789ab_x"}

ENDPOINTS = (
    Endpoint(
        "POST",
        "/api/v1/session",
        sign_in,
        "Sign in: sets a cookie that stands for the token.",
        None,
        body=SignIn,
        example=_BODY,
        status=204,
        problems=(401, 403, 413, 415),
        access="anyone",
    ),
    Endpoint("DELETE", "/api/v1/session", sign_out, "Sign out.", None, status=204, problems=(403,), access="anyone"),
)
