"""What a route is, as data: from it come the router, the check of parameters and the OpenAPI document."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from starlette.requests import Request
from starlette.responses import Response

from safetytwin.bridge.auth import Token
from safetytwin.bridge.problems import Problem

if TYPE_CHECKING:
    from safetytwin.bridge.app import Bridge

JSON = "application/json"
FORWARDED = "safetytwin.forwarded"
"""Key of the ASGI scope of a request that another bridge let in; nothing that comes over HTTP can set it."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a path or query."""

    name: str
    description: str
    schema: Mapping[str, Any]
    parse: Callable[[str], Any]
    """Returns the value of the text; raises ValueError, whose text says what is accepted."""
    where: Literal["path", "query"] = "query"
    example: str | None = None


@dataclass(frozen=True, slots=True)
class Forwarded:
    """How another bridge let a request in."""

    token: Token | None
    """Whose request it is."""
    share: bool
    """Asked is of the machines that this bridge owns, no others: the other one asks all bridges."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request, its parameters checked."""

    request: Request
    values: Mapping[str, Any]
    """The parameters that were given, by name."""
    token: Token | None
    """Whose request it is; None where the bridge asks for no token."""

    def __getitem__(self, name: str) -> Any:
        return self.values.get(name)

    @property
    def host_id(self) -> str:
        """The machine in the path."""
        host_id: str = self.values["host_id"]
        return host_id


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON answer that is more than its body."""

    body: Any
    """What msgspec can write, or bytes of JSON."""
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200


Handler = Callable[["Bridge", Call], Awaitable[Any]]
"""Returns a Response, an Answer or what the JSON body is made of; raises Problem."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation of the API."""

    method: Literal["GET", "POST", "DELETE"]
    path: str
    handler: Handler
    summary: str
    answer: Any
    """The type of the JSON body, or None where there is no body or another media type."""
    parameters: tuple[Parameter, ...] = ()
    body: Any = None
    """The type of the request's JSON body, or None."""
    also_called: tuple[str, ...] = ()
    """Media types under which a JSON body is taken too, though it is none of them."""
    example: Any = None
    """Of the request's body."""
    media_type: str = JSON
    """Of the answer."""
    status: int = 200
    etag: bool = False
    """The answer has an ETag and may be 304."""
    problems: tuple[int, ...] = ()
    """Statuses of errors beyond those that every route may answer."""
    fleet: Callable[[Sequence[Any], Call], Any] | None = None
    """Makes one answer of those of several bridges, each of its own machines; of a question to all machines. The answer
    has a field `incomplete`."""
    here: bool = False
    """Answered by the bridge that is asked, though it is of a machine that another may own."""
    access: Literal["anyone", "person", "agent"] = "person"
    """Who may ask where tokens are needed; a person may do what an agent may, an agent only for its machine."""

    def check_media_type(self, request: Request) -> None:
        """Raise Problem 415 where the body is said to be something that this route does not take."""
        media_type = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
        if self.body is not None and media_type not in {JSON, *self.also_called}:
            raise Problem(415, f"Send JSON, with Content-Type: {JSON}.", headers={"Accept": JSON})

    def read_parameters(self, request: Request) -> dict[str, Any]:
        """Return the values of the parameters; raises Problem 422 that names the one that is wrong."""
        values: dict[str, Any] = {}
        known = {parameter.name: parameter for parameter in self.parameters if parameter.where == "query"}
        for name, text in request.path_params.items():
            parameter = next(p for p in self.parameters if p.name == name)
            values[name] = _parsed(parameter, text)
        for name, text in request.query_params.multi_items():
            if name not in known:
                accepted = ", ".join(known) or "none"
                raise Problem(
                    422, f"There is no parameter {name[:60]!r} here. Accepted: {accepted}.", field=f"?{name[:60]}"
                )
            if name in values:
                raise Problem(422, f"The parameter {name!r} is given twice.", field=f"?{name}")
            values[name] = _parsed(known[name], text)
        return values


def _parsed(parameter: Parameter, text: str) -> Any:
    try:
        return parameter.parse(text)
    except ValueError as error:
        where = f"?{parameter.name}" if parameter.where == "query" else parameter.name
        raise Problem(422, str(error), field=where, example=parameter.example) from None


__all__ = ["JSON", "Answer", "Call", "Endpoint", "Handler", "Parameter", "Response"]
