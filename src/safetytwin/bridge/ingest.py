"""Ingest: frames of machines become twins, history, series and events."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from safetytwin.bridge import timeline
from safetytwin.bridge.series import gauges_of
from safetytwin.bridge.stores.base import (
    Batch,
    EpochMark,
    KeptEvent,
    Place,
    StateMissingError,
    Store,
    StoredFrame,
)
from safetytwin.bridge.summary import moves_counts, service_counts
from safetytwin.bridge.twins import (
    KEYFRAME_EVERY,
    KEYFRAME_SECONDS,
    Host,
    Late,
    applied,
    load_hosts,
    with_fresh_folder,
)
from safetytwin.changes.diff import diff, tree_of
from safetytwin.changes.events import first_events
from safetytwin.changes.kinds import event
from safetytwin.changes.trees import ChangeError, canonical_bytes
from safetytwin.changes.twin import Step, Twin
from safetytwin.models.change import Change, Frame
from safetytwin.models.event import Event
from safetytwin.models.quantities import duration
from safetytwin.models.system_state import SystemState
from safetytwin.models.timestamps import seconds_of, timestamp

BARE_EPOCH = "update_state"
"""How epochs of whole states that came without a frame begin; no agent's epoch looks like it."""
_ORDERS = 1 << 20
"""Between two epochs, so that one that comes late finds a place between."""
_OVERLAP = 5.0
"""Seconds for which two runs of one agent may seem to overlap."""


class RefusedError(Exception):
    """Frames were not taken; the text says why and how to mend it."""


class NeedFullError(RefusedError):
    """The frame before is not here: the agent's next frame has to be a whole state."""


class IdentityConflictError(RefusedError):
    """Another living agent uses this host id."""


class InvalidFrameError(RefusedError):
    """A frame is no valid frame; nothing of the request was taken."""

    def __init__(self, text: str, index: int) -> None:
        super().__init__(text)
        self.index = index


@dataclass(frozen=True, slots=True)
class Publication:
    """One new revision of a machine, for those who follow it."""

    host: Host
    change: Change | None
    """None where the whole state is to be told."""
    events: Sequence[KeptEvent]


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a request."""

    accepted: int
    duplicates: int
    epoch: str
    seq: int
    """Highest frame of the epoch that was applied."""
    revision: int
    changes: Change | None = None
    """Of a whole state without a frame: what it changed; None where nothing, or nothing was before."""


@dataclass(frozen=True, slots=True)
class Request:
    """Frames of one machine that came together, or a whole state."""

    host_id: str
    frames: Sequence[Frame]
    received_at: float
    state: SystemState | None = None


@dataclass(slots=True)
class _Work:
    """What a batch would change, before it is on disk."""

    hosts: dict[str, Host] = field(default_factory=dict)
    batch: Batch = field(default_factory=Batch)
    published: list[tuple[Host, Change | None, int]] = field(default_factory=list)
    """With the number of events in the batch up to and with this one's."""
    pending: set[tuple[str, int, int]] = field(default_factory=set)

    def copy(self) -> "_Work":
        batch = Batch(list(self.batch.epochs), list(self.batch.frames), list(self.batch.events))
        return _Work(dict(self.hosts), batch, list(self.published), set(self.pending))


class Ingest:
    """Takes frames in; used by one thread at a time."""

    def __init__(self, store: Store, publish: Callable[[Publication], None] = lambda _: None) -> None:
        self._store = store
        self._publish = publish
        self.hosts: dict[str, Host] = load_hosts(store)
        """All machines; entries are replaced, never modified."""
        self.unplaceable = 0
        """Late frames that could not be kept, for what they change is not here."""

    def accept(self, host_id: str, frames: Sequence[Frame], received_at: float) -> Accepted:
        """Take frames of one machine; returns when they are on disk. Raises RefusedError and StoreError."""
        return _result(self.accept_all([Request(host_id, frames, received_at)])[0])

    def accept_state(self, state: SystemState, received_at: float) -> Accepted:
        """Take a whole state that came without a frame."""
        return _result(self.accept_all([Request(state.host_id, (), received_at, state)])[0])

    def accept_all(self, requests: Sequence[Request]) -> list[Accepted | RefusedError]:
        """Take the requests of different machines together, with one write to the disk; raises StoreError."""
        work = _Work()
        answers: list[Accepted | RefusedError] = []
        for request in requests:
            before = work.copy()
            try:
                answers.append(self._take(work, request))
            except InvalidFrameError as error:
                work = before
                answers.append(error)
            except RefusedError as error:
                answers.append(error)
        self._commit(work)
        return answers

    def check_silence(self, now: float) -> None:
        """Say of machines that have gone silent that they have."""
        work = _Work()
        for host in self.hosts.values():
            if not host.silent and now - host.received_at > host.quiet_after:
                work.hosts[host.host_id] = replace(host, silent=True)
                silence = duration(now - host.received_at)
                self._tell(
                    work,
                    host.host_id,
                    [event("host.silent", _text(now), "host", hostname=_name(host), silence=silence)],
                )
                work.published.append((work.hosts[host.host_id], Change(), len(work.batch.events)))
        if work.hosts:
            self._commit(work)

    def flush(self) -> None:
        """Write the events that are held back, as when the bridge stops."""
        work = _Work()
        for host in self.hosts.values():
            self._tell(work, host.host_id, host.folder.flush())
        self._commit(work)

    def forget(self, host_id: str) -> None:
        """Forget a machine and its history."""
        self._store.forget(host_id)
        self.hosts.pop(host_id, None)

    def _commit(self, work: _Work) -> None:
        try:
            kept = self._store.append(work.batch) if work.batch != Batch() else []
        except BaseException:
            for host_id in work.hosts.keys() & self.hosts.keys():
                self.hosts[host_id] = with_fresh_folder(self.hosts[host_id])
            raise
        self.hosts.update(work.hosts)
        told = 0
        for host, change, until in work.published:
            self._publish(Publication(host, change, kept[told:until]))
            told = until

    def _take(self, work: _Work, request: Request) -> Accepted:
        if request.state is not None:
            return self._take_state(work, request.host_id, request.state, request.received_at)
        accepted = duplicates = 0
        epoch = request.frames[-1].epoch
        ordered = sorted(enumerate(request.frames), key=lambda pair: pair[1].seq)
        for index, frame in sorted(ordered, key=lambda pair: _first_of(request.frames, pair[1].epoch)):
            try:
                if self._take_frame(work, frame, request.received_at):
                    accepted += 1
                else:
                    duplicates += 1
            except (ChangeError, msgspec.ValidationError) as error:
                raise InvalidFrameError(str(error), index) from error
        host = self._host(work, request.host_id)
        assert host is not None  # noqa: S101 - a frame that was taken made one
        seq = host.seq
        if host.mark.epoch != epoch:
            last = self._store.last_of(host.host_id, host.epochs[epoch].order)
            here = [
                one.seq
                for one in work.batch.frames
                if one.host_id == host.host_id and one.order == host.epochs[epoch].order
            ]
            seq = max([*here, last.seq if last is not None else -1])
        return Accepted(accepted, duplicates, epoch, seq, host.revision)

    def _take_frame(self, work: _Work, frame: Frame, received_at: float) -> bool:
        """Take one frame; returns False where it was here already."""
        host = self._host(work, frame.host_id)
        mark = None if host is None else host.epochs.get(frame.epoch)
        if host is None or mark is None:
            if frame.state is None:
                raise NeedFullError("This run of the agent is new here: send a full frame first.")
            if host is None:
                self._begin(work, frame, received_at)
            elif _is_late(host, frame, received_at):
                self._file_late(work, host, self._late_epoch(work, host, frame), frame, received_at)
            else:
                self._begin_epoch(work, host, frame, received_at)
            return True
        if (host.host_id, mark.order, frame.seq) in work.pending or self._store.has(
            host.host_id, mark.order, frame.seq
        ):
            return False
        if mark.order == host.mark.order and frame.seq > host.seq:
            self._follow(work, host, frame, received_at)
            return True
        if mark.order != host.mark.order and mark.clock_offset + frame.monotonic > host.began_at + _OVERLAP:
            self._conflict(work, host, received_at)
        self._file_late(work, host, mark, frame, received_at)
        return True

    def _begin(self, work: _Work, frame: Frame, received_at: float) -> None:
        """Take the first frame of a machine."""
        mark = EpochMark(frame.host_id, frame.epoch, _ORDERS, received_at - frame.monotonic)
        twin = _twin(frame)
        host = Host(
            host_id=frame.host_id,
            twin=twin,
            revision=1,
            top_revision=1,
            mark=mark,
            epochs={frame.epoch: mark},
            began_at=received_at,
            seq=frame.seq,
            at=received_at,
            received_at=received_at,
            observed_at=frame.observed_at,
            monotonic=frame.monotonic,
            services=service_counts(twin.items("services").values()),
        )
        work.batch.epochs.append(mark)
        self._keep(work, host, frame, None, first_events(twin.rest, _text(received_at)))

    def _begin_epoch(self, work: _Work, host: Host, frame: Frame, received_at: float) -> None:
        """Take the first frame of a new run of the agent."""
        twin = _twin(frame)
        if _is_another_machine(host.twin, twin) and received_at - host.received_at <= host.quiet_after:
            self._conflict(work, host, received_at)
        top = max(mark.order for mark in host.epochs.values())
        mark = EpochMark(frame.host_id, frame.epoch, top + _ORDERS, received_at - frame.monotonic)
        work.batch.epochs.append(mark)
        at = timeline.after(received_at, host.at)
        begun = replace(
            host,
            mark=mark,
            epochs={**host.epochs, frame.epoch: mark},
            began_at=at,
            monotonic=frame.monotonic,
            at=at,
            since_keyframe=KEYFRAME_EVERY,
        )
        self._become(work, host, begun, frame, twin, received_at)

    def _follow(self, work: _Work, host: Host, frame: Frame, received_at: float) -> None:
        """Take the next frame of the run that the twin follows."""
        elapsed = frame.monotonic - host.monotonic
        offset = timeline.offset_after(host.mark.clock_offset, received_at, frame.monotonic, elapsed)
        followed = host
        if abs(offset - host.mark.clock_offset) > 0.05:
            mark = replace(host.mark, clock_offset=offset)
            work.batch.epochs.append(mark)
            followed = replace(host, mark=mark, epochs={**host.epochs, mark.epoch: mark})
        followed = replace(followed, at=timeline.after(offset + frame.monotonic, host.at), monotonic=frame.monotonic)
        if frame.change is None:
            self._become(work, host, followed, frame, _twin(frame), received_at)
            return
        if frame.seq != host.seq + 1:
            raise NeedFullError(f"Frame {host.seq + 1} is not here; send a full frame.")
        twin = applied(host.twin)
        try:
            step = twin.apply(frame.change)
        except ChangeError as error:
            raise NeedFullError(f"The change does not fit the twin ({error}); send a full frame.") from error
        if step.new.get("host_id") != host.host_id:
            raise NeedFullError("The change would make another machine of it; send a full frame.")
        self._advance(work, followed, frame, twin, frame.change, step, received_at)

    def _become(self, work: _Work, old: Host, host: Host, frame: Frame, twin: Twin, received_at: float) -> None:
        """Take a whole state where there was one before."""
        change = diff(_typed(old.twin), _typed(twin))
        changed = applied(old.twin)
        step = changed.apply(change)
        exact = changed.canonical_bytes() == twin.canonical_bytes()
        self._advance(work, host, frame, twin, change if exact else None, step, received_at)

    def _advance(
        self, work: _Work, host: Host, frame: Frame, twin: Twin, change: Change | None, step: Step, received_at: float
    ) -> None:
        services = host.services
        if moves_counts(step):
            services = service_counts(twin.items("services").values())
        told = host.folder.fold(step, at=_text(host.at))
        if host.silent or received_at - host.received_at > host.quiet_after:
            silence = duration(received_at - host.received_at)
            told.insert(0, event("host.back", _text(host.at), "host", hostname=_name(host), silence=silence))
        revision = host.top_revision + 1
        host = replace(
            host,
            twin=twin,
            revision=revision,
            top_revision=revision,
            seq=frame.seq,
            received_at=received_at,
            observed_at=frame.observed_at,
            services=services,
            silent=False,
        )
        self._keep(work, host, frame, change, told)

    def _keep(self, work: _Work, host: Host, frame: Frame, change: Change | None, told: Iterable[Event]) -> None:
        """Put a frame that the twin has followed into the batch."""
        due = host.since_keyframe + 1 >= KEYFRAME_EVERY or host.at - host.keyframe_at >= KEYFRAME_SECONDS
        state = host.twin.canonical_bytes() if due or frame.change is None else None
        host = replace(
            host,
            since_keyframe=0 if state is not None else host.since_keyframe + 1,
            keyframe_at=host.at if state is not None else host.keyframe_at,
        )
        work.batch.frames.append(
            _stored(frame, host.mark.order, host.revision, host.at, host.received_at, state, host.twin)
        )
        work.pending.add((host.host_id, host.mark.order, frame.seq))
        work.hosts[host.host_id] = host
        self._tell(work, host.host_id, told)
        work.published.append((host, change, len(work.batch.events)))

    def _file_late(self, work: _Work, host: Host, mark: EpochMark, frame: Frame, received_at: float) -> None:
        """File a frame that the twin is beyond; people were told of what it changed when the newest state came."""
        host = self._host(work, host.host_id) or host
        late = host.late
        follows = late is not None and (late.order, late.seq + 1) == (mark.order, frame.seq)
        try:
            twin = self._late_twin(late if follows else None, mark, frame)
        except StateMissingError:
            self.unplaceable += 1
            return
        before, behind = self._store.neighbours(host.host_id, mark.order, frame.seq)
        if late is not None and follows:
            before = Place(late.order, late.seq, late.at)
        now = Place(host.mark.order, host.seq, host.at)
        behind = now if behind is None else behind
        at = timeline.between(mark.clock_offset + frame.monotonic, mark.order, frame.seq, before, behind)
        if at is None:
            self.unplaceable += 1
            return
        since = late.since_keyframe + 1 if late is not None and follows else KEYFRAME_EVERY
        state = twin.canonical_bytes() if since >= KEYFRAME_EVERY or frame.change is None else None
        revision = host.top_revision + 1
        work.batch.frames.append(_stored(frame, mark.order, revision, at, received_at, state, twin))
        work.pending.add((host.host_id, mark.order, frame.seq))
        filed = Late(mark.order, frame.seq, at, twin, 0 if state is not None else since)
        work.hosts[host.host_id] = replace(host, late=filed, top_revision=revision)

    def _late_twin(self, late: Late | None, mark: EpochMark, frame: Frame) -> Twin:
        if frame.change is None:
            return _twin(frame)
        if late is not None:
            twin = applied(late.twin)
        else:
            if frame.seq == 0:
                raise StateMissingError("There is nothing before the first frame.")
            twin = Twin(msgspec.json.decode(self._store.state_of(mark.host_id, mark.order, frame.seq - 1).state))
        twin.apply(frame.change)
        return twin

    def _late_epoch(self, work: _Work, host: Host, frame: Frame) -> EpochMark:
        """Make a place before the current run for one that came late."""
        offset = host.mark.clock_offset
        if not _is_same_boot(host, frame):
            skew = host.received_at - seconds_of(host.observed_at)
            offset = seconds_of(frame.observed_at) + skew - frame.monotonic
        orders = sorted(mark.order for mark in host.epochs.values())
        below = max((order for order in orders if order < host.mark.order), default=0)
        mark = EpochMark(host.host_id, frame.epoch, (below + host.mark.order) // 2, offset)
        if mark.order == below:
            raise NeedFullError("Too many runs of the agent came late; send a full frame of the current one.")
        work.batch.epochs.append(mark)
        work.hosts[host.host_id] = replace(host, epochs={**host.epochs, frame.epoch: mark})
        return mark

    def _conflict(self, work: _Work, host: Host, received_at: float) -> None:
        """Say that two living agents use one host id; always raises IdentityConflictError."""
        if host.status(received_at) != "conflict":
            self._tell(work, host.host_id, [event("host.conflict", _text(received_at), "host", hostname=_name(host))])
        conflicting = replace(host, conflict_at=received_at)
        work.hosts[host.host_id] = conflicting
        work.published.append((conflicting, Change(), len(work.batch.events)))
        raise IdentityConflictError(
            f"Another living agent uses the host id {host.host_id}: one of the two machines is a clone. "
            "Run on it: safetytwin agent --reset-identity"
        )

    def _take_state(self, work: _Work, host_id: str, state: SystemState, received_at: float) -> Accepted:
        """Take a whole state as a frame of an epoch of its own."""
        host = self._host(work, host_id)
        tree = tree_of(state)
        change = None
        if host is not None:
            change = diff(_typed(host.twin), msgspec.convert(tree, SystemState))
            if not _says_anything(change):
                work.hosts[host_id] = replace(host, received_at=received_at, silent=False)
                return Accepted(0, 1, host.mark.epoch, host.seq, host.revision)
        epoch = f"{BARE_EPOCH}-{0 if host is None else len(host.epochs)}"
        if host is not None and host.mark.epoch.startswith(BARE_EPOCH):
            epoch = host.mark.epoch
        seq = host.seq + 1 if host is not None and host.mark.epoch == epoch else 0
        frame = Frame(host_id, epoch, seq, "full", state.timestamp, received_at, state=tree)
        if host is None:
            self._begin(work, frame, received_at)
        elif host.mark.epoch == epoch:
            self._follow(work, host, frame, received_at)
        else:
            self._begin_epoch(work, host, frame, received_at)
        taken = work.hosts[host_id]
        return Accepted(1, 0, epoch, taken.seq, taken.revision, change)

    def _host(self, work: _Work, host_id: str) -> Host | None:
        return work.hosts.get(host_id) or self.hosts.get(host_id)

    def _tell(self, work: _Work, host_id: str, told: Iterable[Event]) -> None:
        work.batch.events += [(host_id, one) for one in told]


def _result(answer: Accepted | RefusedError) -> Accepted:
    if isinstance(answer, RefusedError):
        raise answer
    return answer


def _first_of(frames: Sequence[Frame], epoch: str) -> int:
    return next(index for index, frame in enumerate(frames) if frame.epoch == epoch)


def _twin(frame: Frame) -> Twin:
    twin = Twin(frame.state or {})
    if twin.rest.get("host_id") != frame.host_id:
        raise ChangeError(f"The state is of {twin.rest.get('host_id')!r}, the frame of {frame.host_id!r}.")
    return twin


def _typed(twin: Twin) -> SystemState:
    return msgspec.convert(twin.tree(), SystemState)


def _says_anything(change: Change) -> bool:
    """Say whether more than the moment of the look has changed."""
    return bool(change.collections) or bool((change.state or {}).keys() - {"timestamp", "seq"})


def _is_same_boot(host: Host, frame: Frame) -> bool:
    boot = (frame.state or {}).get("boot_id")
    return boot is not None and boot == host.twin.rest.get("boot_id")


def _is_late(host: Host, frame: Frame, received_at: float) -> bool:
    """Say whether an unknown run of the agent is one from before the current one, whose frames waited in a spool."""
    if received_at - host.received_at > host.quiet_after:
        return False
    if _is_same_boot(host, frame):
        return host.mark.clock_offset + frame.monotonic < host.began_at
    if received_at - frame.monotonic >= host.at:
        # A machine that booted after the current run's last frame, whatever its clock says.
        return False
    return seconds_of(frame.observed_at) < seconds_of(host.observed_at)


def _is_another_machine(one: Twin, other: Twin) -> bool:
    """Say whether the firmware of two states names different machines."""
    first, second = (twin.rest["hardware"].get("dmi", {}) for twin in (one, other))
    return any(
        first.get(name) is not None and second.get(name) is not None and first[name] != second[name]
        for name in ("uuid", "serial")
    )


def _stored(
    frame: Frame, order: int, revision: int, at: float, received_at: float, state: bytes | None, twin: Twin
) -> StoredFrame:
    change = None if frame.change is None else canonical_bytes(frame.change)
    return StoredFrame(
        frame.host_id,
        order,
        frame.seq,
        revision,
        at,
        received_at,
        frame.observed_at,
        frame.monotonic,
        change,
        state,
        gauges_of(twin),
    )


def _text(at: float) -> str:
    return timestamp(at) or "1970-01-01T00:00:00.000Z"


def _name(host: Host) -> str:
    return host.hostname or host.host_id
