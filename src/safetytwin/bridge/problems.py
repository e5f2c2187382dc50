"""What a client is told when something is wrong: problem details (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated as A  # noqa: N817 - the fields below are a table, one row each
from typing import Literal

import msgspec
from starlette.responses import Response

from safetytwin.models.fields import Record

MEDIA_TYPE = "application/problem+json"


class ProblemDetails(Record, frozen=True):
    """The body of every answer with a status of 400 or more."""

    title: A[str, msgspec.Meta(description="The status in words.")]
    status: A[int, msgspec.Meta(description="The HTTP status.", ge=400, le=599)]
    detail: A[str, msgspec.Meta(description="What is wrong here, and how to mend it.")]
    type: A[str, msgspec.Meta(description="about:blank: the status says what kind of problem it is.")] = "about:blank"
    need: A[Literal["full", "identity"] | None, msgspec.Meta(description="What the bridge needs (status 409).")] = None
    field: A[str | None, msgspec.Meta(description="Path of the field that is wrong, such as $.processes[3].pid.")] = (
        None
    )
    example: A[str | None, msgspec.Meta(description="What would have been right.")] = None


class Problem(Exception):  # noqa: N818 - a problem is what RFC 9457 calls it
    """An answer that is an error; raised by handlers, written by the application."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        need: Literal["full", "identity"] | None = None,
        field: str | None = None,
        example: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.headers = dict(headers or {})
        self.details = ProblemDetails(
            title=HTTPStatus(status).phrase, status=status, detail=detail, need=need, field=field, example=example
        )

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.details.status

    def response(self) -> Response:
        """Return the answer to send."""
        return Response(msgspec.json.encode(self.details), self.status, self.headers, MEDIA_TYPE)


def too_busy(detail: str, retry_after: int) -> Problem:
    """Return a 503 that says when to come back, in seconds."""
    return Problem(503, detail, headers={"Retry-After": str(retry_after)})
