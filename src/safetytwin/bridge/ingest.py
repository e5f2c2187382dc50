"""Ingest: frames of machines become twins, history, series and events."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import msgspec

from safetytwin.bridge.ingest_follow import begin, begin_epoch, follow
from safetytwin.bridge.ingest_identity import (
    BARE_EPOCH,
    OVERLAP,
    Verdict,
    is_another_machine,
    is_late,
    judged,
    patience_with,
    was_refused,
)
from safetytwin.bridge.ingest_late import LateFrames, flushed, is_idle
from safetytwin.bridge.ingest_work import (
    ORDERS,
    Accepted,
    IdentityConflictError,
    InvalidFrameError,
    NeedFullError,
    Publication,
    RefusedError,
    Request,
    WaitError,
    Work,
    text_of,
    twin_of,
    typed,
)
from safetytwin.bridge.stores.base import Batch, Refusal, Store, StoreMovedError
from safetytwin.bridge.twins import Contender, Host, load_host, load_hosts, with_fresh_folder
from safetytwin.changes.diff import diff, tree_of
from safetytwin.changes.kinds import event
from safetytwin.changes.trees import ChangeError
from safetytwin.models.change import Change, Frame
from safetytwin.models.quantities import duration
from safetytwin.models.system_state import SystemState

_ONE_CLOCK = 600.0
"""Seconds by which frames may be delayed; offsets that differ by less may be of one boot."""
_CONTENDER_KEPT = 3600.0
"""Seconds for which it is remembered when an agent first came that was told to wait."""
_CONFLICT_KEPT = 60.0
"""Seconds after which another sign of a conflict is written."""


class Ingest:
    """Takes frames in; used by one thread at a time."""

    def __init__(
        self, store: Store, publish: Callable[[Publication], None] = lambda _: None, *, load: bool = True
    ) -> None:
        """Begin with all machines that the store has; without load with none, as one of several bridges does."""
        self._store = store
        self._publish = publish
        self._late = LateFrames(store)
        self.hosts: dict[str, Host] = load_hosts(store) if load else {}
        """All machines; entries are replaced, never modified."""

    @property
    def unplaceable(self) -> int:
        """Late frames that could not be kept, for what they change is not here."""
        return self._late.unplaceable

    def accept(self, host_id: str, frames: Sequence[Frame], received_at: float) -> Accepted:
        """Take frames of one machine; returns when they are on disk. Raises RefusedError and StoreError."""
        return _result(self.accept_all([Request(host_id, frames, received_at)])[0])

    def accept_state(self, state: SystemState, received_at: float) -> Accepted:
        """Take a whole state that came without a frame."""
        return _result(self.accept_all([Request(state.host_id, (), received_at, state)])[0])

    def accept_all(self, requests: Sequence[Request]) -> list[Accepted | RefusedError]:
        """Take the requests of different machines together, with one write to the disk; raises StoreError."""
        work = Work()
        answers: list[Accepted | RefusedError] = []
        for request in requests:
            lengths, before = work.lengths(), work.hosts.get(request.host_id)
            try:
                answers.append(self._take(work, request))
            except InvalidFrameError as error:
                work.go_back(lengths, request.host_id, before)
                answers.append(error)
            except RefusedError as error:
                answers.append(error)
        self._commit(work)
        return answers

    def check_silence(self, now: float) -> None:
        """Say of machines that have gone silent that they have."""
        work = Work()
        for host in self.hosts.values():
            flushed(work, host, lambda late: is_idle(late, now))
            if not host.silent and now - host.received_at > host.quiet_after:
                work.hosts[host.host_id] = replace(host, silent=True)
                silence = duration(now - host.received_at)
                told = event("host.silent", text_of(now), "host", hostname=host.name, silence=silence)
                work.publish(work.hosts[host.host_id], Change(), [told])
        self._commit(work)

    def flush(self) -> None:
        """Write the events that are held back, as when the bridge stops."""
        self._flush(self.hosts.values())

    def _flush(self, hosts: Iterable[Host]) -> None:
        work = Work()
        for host in hosts:
            flushed(work, host)
            work.tell(host.host_id, host.folder.flush())
        self._commit(work)

    def load(self, host_ids: Iterable[str]) -> None:
        """Take machines from the store as they are there, for another bridge may have written; raises StoreError."""
        for host_id in host_ids:
            self._load(host_id)

    def drop(self, host_ids: Iterable[str], *, flush: bool) -> None:
        """Let go of machines, having written the events that are held back where that is asked; raises StoreError."""
        dropped = [self.hosts[host_id] for host_id in host_ids if host_id in self.hosts]
        try:
            if flush:
                self._flush(dropped)
        finally:
            for host in dropped:
                self.hosts.pop(host.host_id, None)

    def forget(self, host_id: str) -> None:
        """Forget a machine and its history."""
        self._store.forget(host_id)
        self.hosts.pop(host_id, None)

    def _commit(self, work: Work) -> None:
        try:
            kept = self._store.append(work.batch) if work.batch != Batch() else []
        except BaseException as error:
            for host_id in work.hosts.keys() & self.hosts.keys():
                self.hosts[host_id] = with_fresh_folder(self.hosts[host_id])
            if isinstance(error, StoreMovedError):
                for host_id in error.host_ids:
                    self._load(host_id)
            raise
        self.hosts.update(work.hosts)
        for host, change, first, end in work.published:
            self._publish(Publication(host, change, kept[first:end]))

    def _load(self, host_id: str) -> None:
        """Take a machine from the store as it is there, for another bridge may have written."""
        host = load_host(self._store, host_id)
        if host is None:
            self.hosts.pop(host_id, None)
        else:
            self.hosts[host_id] = host

    def _take(self, work: Work, request: Request) -> Accepted:
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
            order = host.epochs[epoch].order
            last = self._store.last_of(host.host_id, order)
            here = [one.seq for one in work.batch.frames if (one.host_id, one.order) == (host.host_id, order)]
            seq = max([*here, last.seq if last is not None else -1])
        return Accepted(accepted, duplicates, epoch, seq, host.revision)

    def _take_frame(self, work: Work, frame: Frame, received_at: float) -> bool:
        """Take one frame; returns False where it was here already."""
        host = self._host(work, frame.host_id)
        mark = None if host is None else host.epochs.get(frame.epoch)
        if host is None or mark is None:
            if frame.state is None:
                raise NeedFullError("This run of the agent is new here: send a full frame first.")
            if host is None:
                # There may be runs of which no state can be told any more.
                orders = [mark.order for mark in self._store.epochs(frame.host_id)]
                begin(work, frame, received_at, max(orders, default=0) + ORDERS)
            else:
                self._meet(work, host, frame, received_at)
            return True
        if mark.order == host.mark.order and frame.seq > host.seq:
            follow(work, host, frame, received_at)
            return True
        place = (host.host_id, mark.order, frame.seq)
        if place in work.pending or self._store.has(*place):
            return False
        # Two runs of one boot have one clock: the better known of their offsets tells when this one looked.
        offsets = (mark.clock_offset, host.mark.clock_offset)
        offset = min(offsets) if abs(offsets[0] - offsets[1]) < _ONE_CLOCK else mark.clock_offset
        looked_at = offset + frame.monotonic
        if mark.order != host.mark.order and (
            looked_at > host.began_at + OVERLAP or frame.epoch in {one.epoch for one in host.refusals}
        ):
            # A run that had missed its looks, so that another one has its place, and speaks again: both live.
            self._refuse(work, host, frame, received_at)
        self._late.file(work, host, mark, frame, received_at)
        return True

    def _meet(self, work: Work, host: Host, frame: Frame, received_at: float) -> None:
        """Take the first frame of a run that is new here; raises IdentityConflictError and WaitError."""
        twin = twin_of(frame)
        if is_late(host, frame, received_at):
            if is_another_machine(host.twin, twin) or was_refused(host, frame.epoch, twin.rest.get("boot_id")):
                self._refuse(work, host, frame, received_at)
            self._late.file(work, host, self._late.epoch(work, host, frame), frame, received_at)
            return
        verdict = judged(host, frame, twin, received_at)
        if verdict is Verdict.CLONE:
            self._refuse(work, host, frame, received_at)
        if verdict is Verdict.UNKNOWN:
            recent = {epoch: one for epoch, one in host.contenders.items() if received_at - one.at < _CONTENDER_KEPT}
            contenders = {frame.epoch: Contender(received_at, frame.monotonic)} | recent
            work.hosts[host.host_id] = replace(host, contenders=contenders)
            raise WaitError(
                f"An agent with the host id {host.host_id} was here a moment ago; if it has ended, this one is next.",
                max(0.0, host.received_at + patience_with(host) - received_at) + 1.0,
            )
        begin_epoch(work, host, frame, twin, received_at)

    def _refuse(self, work: Work, host: Host, frame: Frame, received_at: float) -> None:
        """Say that two living agents use one host id; always raises IdentityConflictError."""
        if host.status(received_at) != "conflict":
            conflicting = replace(host, conflict_at=received_at)
            told = event("host.conflict", text_of(received_at), "host", hostname=host.name)
            work.publish(conflicting, Change(), [told])
        boot: str | None = (frame.state or {}).get("boot_id")
        known = {one.epoch: one for one in host.refusals}
        refusal = known.get(frame.epoch)
        if refusal is None or received_at - refusal.at > _CONFLICT_KEPT:
            boot = boot or (None if refusal is None else refusal.boot_id)
            refusal = Refusal(host.host_id, frame.epoch, boot, received_at)
            known[frame.epoch] = refusal
            work.batch.refusals.append(refusal)
        work.hosts[host.host_id] = replace(host, conflict_at=received_at, refusals=tuple(known.values()))
        raise IdentityConflictError(
            f"Another living agent uses the host id {host.host_id}: one of the two machines is a clone. "
            "Run on it: safetytwin agent --reset-identity"
        )

    def _take_state(self, work: Work, host_id: str, state: SystemState, received_at: float) -> Accepted:
        """Take a whole state as a frame of an epoch of its own."""
        host = self._host(work, host_id)
        tree = tree_of(state)
        change = None
        if host is not None:
            change = diff(typed(host.twin), msgspec.convert(tree, SystemState))
            if not _says_anything(change):
                work.hosts[host_id] = replace(host, received_at=received_at, silent=False)
                return Accepted(0, 1, host.mark.epoch, host.seq, host.revision)
        epoch = f"{BARE_EPOCH}-{0 if host is None else len(host.epochs)}"
        if host is not None and host.mark.epoch.startswith(BARE_EPOCH):
            epoch = host.mark.epoch
        seq = host.seq + 1 if host is not None and host.mark.epoch == epoch else 0
        frame = Frame(host_id, epoch, seq, "full", state.timestamp, received_at, state=tree)
        if host is None:
            orders = [mark.order for mark in self._store.epochs(host_id)]
            begin(work, frame, received_at, max(orders, default=0) + ORDERS)
        elif host.mark.epoch == epoch:
            follow(work, host, frame, received_at)
        elif not host.mark.epoch.startswith(BARE_EPOCH) and host.status(received_at) != "silent":
            raise IdentityConflictError(
                f"An agent reports {host_id} itself: a state from elsewhere would only be overwritten. "
                "Give the state another host_id, or stop that agent."
            )
        else:
            begin_epoch(work, host, frame, twin_of(frame), received_at)
        taken = work.hosts[host_id]
        return Accepted(1, 0, epoch, taken.seq, taken.revision, change)

    def _host(self, work: Work, host_id: str) -> Host | None:
        return work.hosts.get(host_id) or self.hosts.get(host_id)


def _result(answer: Accepted | RefusedError) -> Accepted:
    if isinstance(answer, RefusedError):
        raise answer
    return answer


def _first_of(frames: Sequence[Frame], epoch: str) -> int:
    return next(index for index, frame in enumerate(frames) if frame.epoch == epoch)


def _says_anything(change: Change) -> bool:
    """Say whether more than the moment of the look has changed."""
    return bool(change.collections) or bool((change.state or {}).keys() - {"timestamp", "seq"})
