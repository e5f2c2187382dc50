"""Routes about the bridge itself."""

from typing import TYPE_CHECKING, Any, Literal

from starlette.responses import Response

from safetytwin import __version__
from safetytwin.bridge import openapi
from safetytwin.bridge.routes.table import Call, Endpoint
from safetytwin.exposition import MEDIA_TYPE, Exposition
from safetytwin.models.fields import Record

if TYPE_CHECKING:
    from safetytwin.bridge.app import Bridge


class Health(Record, frozen=True):
    """That the bridge answers."""

    status: Literal["ok"]


async def healthz(bridge: "Bridge", call: Call) -> Health:  # noqa: ARG001 - as every handler
    """Answer, which is all that is asked."""
    return Health("ok")


async def metrics(bridge: "Bridge", call: Call) -> Response:  # noqa: ARG001 - as every handler
    """Write the bridge's own figures."""
    page = Exposition()
    bridge.metrics.write(page)
    page.gauge("safetytwin_bridge_streams", "Open streams of server-sent events.", len(bridge.streams))
    bridge.keeper.write_metrics(page)
    return Response(page.text(), media_type=MEDIA_TYPE)


async def openapi_document(bridge: "Bridge", call: Call) -> dict[str, Any]:  # noqa: ARG001 - as every handler
    """Describe the API."""
    from safetytwin.bridge.routes import ENDPOINTS  # noqa: PLC0415 - the table holds this handler

    return openapi.document(ENDPOINTS, __version__, tokens_needed=bridge.door.tokens is not None)


ENDPOINTS = (
    Endpoint(
        "GET",
        "/metrics",
        metrics,
        "The bridge's own figures for Prometheus.",
        None,
        media_type="text/plain",
    ),
    Endpoint("GET", "/healthz", healthz, "Whether the bridge answers.", Health, access="anyone"),
    Endpoint("GET", "/openapi.json", openapi_document, "This API, as OpenAPI 3.1.", dict[str, Any]),
)
