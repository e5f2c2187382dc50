"""The twins: what each machine is now, as the bridge knows it."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import msgspec

from safetytwin.bridge.stores.base import EpochMark, Refusal, Store
from safetytwin.bridge.summary import service_counts
from safetytwin.changes.folding import EventFolder
from safetytwin.changes.twin import Twin

KEYFRAME_EVERY = 15
"""Frames after which a whole state is kept, so that no fold is long."""
KEYFRAME_SECONDS = 600.0
_DEFAULT_INTERVAL = 10.0
_QUIET_SECONDS = 60.0
_CONFLICT_SECONDS = 600.0
"""How long a conflict is shown after the last sign of it."""


class Contender(NamedTuple):
    """A run of an agent that waits to be known: when its first try came, and its boot clock then; seconds."""

    at: float
    monotonic: float


@dataclass(frozen=True, slots=True)
class Late:
    """Where frames that came late are being filed."""

    order: int
    seq: int
    at: float
    twin: Twin
    since_keyframe: int
    received_at: float
    folder: EventFolder
    """Of the events of this run of late frames."""
    told: dict[tuple[str, str], int]
    """Numbers of events, by kind and subject, that were told when the machine was back; their moment is yet to come."""


@dataclass(frozen=True, slots=True)
class Host:
    """One machine now; never modified, so that whoever holds it sees one moment."""

    host_id: str
    twin: Twin
    revision: int
    """Of the twin."""
    top_revision: int
    """The highest given to any frame, late ones included."""
    mark: EpochMark
    epochs: Mapping[str, EpochMark]
    began_at: float
    """Where the epoch's first frame stands on the time line."""
    seq: int
    at: float
    received_at: float
    observed_at: str
    monotonic: float
    services: Mapping[str, int]
    folder: EventFolder = field(default_factory=EventFolder)
    keyframe_at: float = 0.0
    since_keyframe: int = KEYFRAME_EVERY
    late: Late | None = None
    silent: bool = False
    conflict_at: float | None = None
    refusals: tuple[Refusal, ...] = ()
    """Other agents that were refused as clones."""
    contenders: Mapping[str, "Contender"] = field(default_factory=dict)
    """Epochs of agents of which it is not known yet whether they are this machine's next, and when they first came."""

    @property
    def name(self) -> str:
        """What people know it by."""
        return self.hostname or self.host_id

    @property
    def interval(self) -> float:
        """Seconds between two looks."""
        seconds: float = self.twin.rest["agent"].get("interval") or _DEFAULT_INTERVAL
        return seconds

    @property
    def hostname(self) -> str | None:
        """The machine's name."""
        name: str | None = self.twin.rest["hardware"].get("hostname")
        return name

    @property
    def quiet_after(self) -> float:
        """Seconds without a frame after which it is silent: three intervals, and at least a minute."""
        return max(_QUIET_SECONDS, 3.0 * self.interval)

    def status(self, now: float) -> str:
        """Return live, silent or conflict."""
        if self.conflict_at is not None and now - self.conflict_at < _CONFLICT_SECONDS:
            return "conflict"
        return "silent" if now - self.received_at > self.quiet_after else "live"


def load_hosts(store: Store) -> dict[str, Host]:
    """Fold every machine's twin from what is kept of it; one of which nothing can be told is left out."""
    hosts = {}
    for host_id in store.hosts():
        host = load_host(store, host_id)
        if host is not None:
            hosts[host_id] = host
    return hosts


def load_host(store: Store, host_id: str) -> Host | None:
    """Return a machine as it was last, or None where no state of it can be told."""
    found = store.latest(host_id)
    marks = store.epochs(host_id)
    if found is None or not marks:
        return None
    frame = found.frame
    mark = next((one for one in marks if one.order == frame.order), None)
    if mark is None:
        return None
    twin = Twin(msgspec.json.decode(found.state))
    refusals = tuple(store.refusals(host_id))
    began_at = store.began_at(host_id, mark.order)
    return Host(
        host_id=host_id,
        twin=twin,
        revision=frame.revision,
        top_revision=max(store.last_revision(host_id), frame.revision),
        mark=mark,
        epochs={one.epoch: one for one in marks},
        began_at=frame.at if began_at is None else began_at,
        seq=frame.seq,
        at=frame.at,
        received_at=frame.received_at,
        observed_at=frame.observed_at,
        monotonic=frame.monotonic,
        services=service_counts(twin.items("services").values()),
        refusals=refusals,
        conflict_at=max((one.at for one in refusals), default=None),
    )


def applied(twin: Twin) -> Twin:
    """Return a twin that can be changed without the given one changing."""
    return copy.copy(twin)


def with_fresh_folder(host: Host) -> Host:
    """Return a machine whose folds under way are forgotten: what they told was not kept."""
    return replace(host, folder=EventFolder())
