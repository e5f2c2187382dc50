"""What the API answers with, beyond the records of the models."""

from typing import Annotated as A  # noqa: N817 - the fields below are a table, one row each
from typing import Any, Literal

import msgspec

from safetytwin.models.change import Change
from safetytwin.models.event import Severity
from safetytwin.models.fields import Count, Record
from safetytwin.models.system_state import HostId, Timestamp


class Taken(Record, frozen=True):
    """What became of a request's frames: all are on disk."""

    accepted: A[Count, msgspec.Meta(description="Frames that were new.")]
    duplicates: A[Count, msgspec.Meta(description="Frames that were here already.")]
    epoch: A[str, msgspec.Meta(description="Run of the agent that the frames belong to.")]
    seq: A[int, msgspec.Meta(description="Highest frame of the epoch that the twin is at.")]
    revision: A[Count, msgspec.Meta(description="Revision of the twin.")]


class Updated(Record, frozen=True):
    """What a whole state changed."""

    status: Literal["updated", "no_changes"]
    host_id: A[HostId, msgspec.Meta(description="The machine, as it was given or derived from its hostname.")]
    state_id: A[str, msgspec.Meta(description="Names this state of this machine.")]
    revision: A[Count, msgspec.Meta(description="Revision of the twin.")]
    changes: A[
        Change | None,
        msgspec.Meta(
            description="What is different from the state before; null where nothing is, or nothing was before."
        ),
    ] = None


class HostRow(Record, frozen=True):
    """One machine in a list."""

    host_id: A[HostId, msgspec.Meta(description="The machine.")]
    hostname: A[str | None, msgspec.Meta(description="Its name.")]
    revision: A[Count, msgspec.Meta(description="Revision of its twin.")]
    observed_at: A[Timestamp, msgspec.Meta(description="The machine's clock at its last look.")]
    received_at: A[Timestamp, msgspec.Meta(description="The bridge's clock when that came.")]
    status: A[
        Literal["live", "silent", "conflict"],
        msgspec.Meta(description="silent: nothing came for some intervals; conflict: two agents use this id."),
    ]
    summary: A[dict[str, Any], msgspec.Meta(description="What a row of machines shows.")]


class UnknownHost(Record, frozen=True):
    """One machine of which it is not known whether it matches."""

    host_id: A[HostId, msgspec.Meta(description="The machine.")]
    hostname: A[str | None, msgspec.Meta(description="Its name.")]
    because: A[str, msgspec.Meta(description="What is not known of it.")]


Incomplete = A[
    str | None, msgspec.Meta(description="Why machines are missing that other bridges own; null where none are.")
]


class HostList(Record, frozen=True, omit_defaults=False):
    """A page of machines, by host id."""

    hosts: list[HostRow]
    next: A[str | None, msgspec.Meta(description="Cursor of the next page; null on the last.")] = None
    unknown: A[
        list[UnknownHost],
        msgspec.Meta(description="With where: machines up to here that could not be judged, the first hundred."),
    ] = msgspec.field(default_factory=list)
    unknown_count: A[Count, msgspec.Meta(description="How many could not be judged.")] = 0
    incomplete: Incomplete = None


class StoredEvent(Record, frozen=True):
    """One event with its machine."""

    id: A[Count, msgspec.Meta(description="Number of the event; a later one is larger.")]
    host_id: A[HostId, msgspec.Meta(description="The machine.")]
    at: A[Timestamp, msgspec.Meta(description="When it was first seen.")]
    kind: A[str, msgspec.Meta(description="Stable name, such as unit.failed; docs/events.md lists all.")]
    severity: Severity
    subject: A[str, msgspec.Meta(description="What it happened to, such as services/systemd/ssh.service.")]
    text: A[str, msgspec.Meta(description="One sentence for people.")]
    details: A[dict[str, Any] | None, msgspec.Meta(description="The facts in the sentence, by name.")] = None
    count: A[Count | None, msgspec.Meta(description="How many were folded into this one; null for one.")] = None
    last_at: A[Timestamp | None, msgspec.Meta(description="When the last of the folded ones was seen.")] = None


class EventList(Record, frozen=True, omit_defaults=False):
    """A page of events, newest first."""

    events: list[StoredEvent]
    next: A[str | None, msgspec.Meta(description="Cursor of the next page; null on the last.")] = None
    incomplete: Incomplete = None


class Moment(Record, frozen=True):
    """A moment of one machine that there is a state for."""

    at: A[Timestamp, msgspec.Meta(description="When the state was seen.")]
    revision: A[Count, msgspec.Meta(description="Revision of the twin then.")]


class Difference(Record, frozen=True, rename={"from_": "from"}):
    """What changed between two moments."""

    from_: Moment
    to: Moment
    change: A[Change, msgspec.Meta(description="The difference of the two states.")]
    events: A[list[StoredEvent], msgspec.Meta(description="What happened between them, newest first.")]


class Gap(Record, frozen=True, rename={"from_": "from"}):
    """A time without frames."""

    from_: Timestamp
    to: Timestamp


class Moments(Record, frozen=True, omit_defaults=False):
    """What the time slider may offer."""

    revisions: A[Count, msgspec.Meta(description="How many states there are.")]
    gaps: A[list[Gap], msgspec.Meta(description="Times without frames.")]
    first: A[Timestamp | None, msgspec.Meta(description="The first moment; null where there is none.")] = None
    last: A[Timestamp | None, msgspec.Meta(description="The last moment; null where there is none.")] = None


class Series(Record, frozen=True):
    """One plotted gauge; the lists are of one length, null where nothing was seen."""

    at: A[list[float], msgspec.Meta(description="Seconds since 1970: where each step begins.")]
    mean: list[float | None]
    min: list[float | None]
    max: list[float | None]
    unit: A[str | None, msgspec.Meta(description="Unit of the values, as UCUM writes it.")] = None


class SeriesSet(Record, frozen=True, rename={"from_": "from"}):
    """Gauges over time."""

    from_: A[float, msgspec.Meta(description="Seconds since 1970.")]
    to: A[float, msgspec.Meta(description="Seconds since 1970.")]
    step: A[float, msgspec.Meta(description="Seconds between two points.")]
    series: dict[str, Series]


class SeriesNames(Record, frozen=True):
    """Which series there are."""

    names: A[dict[str, str | None], msgspec.Meta(description="Unit by name.")]


class AiHost(Record, frozen=True):
    """The AI workloads and models of one machine, as its state has them."""

    host_id: HostId
    workloads: list[dict[str, Any]]
    models: list[dict[str, Any]]
    hostname: str | None = None
    observed_at: Timestamp | None = None


class AiHosts(Record, frozen=True):
    """Which machines serve which models."""

    hosts: list[AiHost]
    incomplete: Incomplete = None
