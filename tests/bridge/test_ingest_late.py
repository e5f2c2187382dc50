"""Frames that come late, with the agent's own outbox and spool."""

import itertools

import msgspec
import pytest
import zstandard

from parts.simulated import EPOCHS, Sender, fill
from safetytwin.agent.bridge_client import Answer
from safetytwin.agent.outbox import Outbox
from safetytwin.agent.spool import Spool
from safetytwin.bridge.ingest import Ingest
from safetytwin.bridge.ingest_work import NeedFullError, RefusedError, UnplaceableError, WaitError
from safetytwin.bridge.stores.base import EventQuery
from safetytwin.bridge.stores.sqlite import SqliteStore
from safetytwin.changes.diff import tree_of
from safetytwin.changes.trees import canonical_bytes
from safetytwin.fleet.machine import Machine
from safetytwin.models.change import Frame


@pytest.fixture
def store(tmp_path):
    store = SqliteStore(tmp_path / "store", reserve_bytes=0)
    yield store
    store.close()


class Wire:
    """Hands frames to an ingest as the HTTP side does, while the bridge is there."""

    def __init__(self, ingest, clock):
        self.ingest, self.clock, self.there = ingest, clock, True
        self.published, self.answers = [], []

    def send(self, frames):
        if not self.there:
            return Answer(0, detail="away")
        some = [msgspec.json.decode(zstandard.decompress(data), type=Frame) for data in frames]
        try:
            self.ingest.accept("atlas", some, self.clock())
            answer = Answer(200)
        except NeedFullError as error:
            answer = Answer(409, "full", str(error))
        except UnplaceableError as error:
            answer = Answer(409, None, str(error))
        except WaitError as error:
            answer = Answer(503, detail=str(error), retry_after=error.seconds)
        except RefusedError as error:
            answer = Answer(422, detail=str(error))
        self.answers.append(answer)
        return answer


class Reporting:
    """A machine, its agent's outbox, and what it saw."""

    def __init__(self, ingest, spool):
        self.machine = Machine("atlas", processes=12)
        self.wire = Wire(ingest, lambda: self.machine.now)
        self.spool = spool
        self.outbox = Outbox("atlas", self.wire, spool, clock=lambda: self.machine.now)
        self.seen = {}

    def look(self):
        state = self.machine.look()
        answer = self.outbox.deliver(state, self.machine.now - 1.7e9)
        if answer is not None and answer.status == 200:
            self.outbox.drain()
        # The outbox tells the machine's own facts of a state before it delivers it; this one has none to tell.
        self.seen[self.machine.now] = canonical_bytes(tree_of(state))


def events(store):
    return [one.event for one in store.events(EventQuery("atlas", limit=10_000))][::-1]


def test_after_an_hour_without_the_bridge_every_state_of_the_hour_is_in_history(store, tmp_path):
    published = []
    ingest = Ingest(store, published.append)
    reporting = Reporting(ingest, Spool(str(tmp_path / "spool"), 64 << 20))
    for _ in range(10):
        reporting.look()
    reporting.wire.there = False
    for _ in range(360):
        reporting.look()
    reporting.wire.there = True
    told = len(published)
    for looks in itertools.count():
        if looks > 5 and not reporting.outbox.waiting:
            break
        assert looks < 200, "the spool is never empty"
        reporting.look()
    assert reporting.outbox.dropped == 0
    for at, state in reporting.seen.items():
        assert store.state_at("atlas", at).state == state
    assert store.span("atlas", None, None).gaps == ()
    assert ingest.hosts["atlas"].twin.canonical_bytes() == reporting.seen[reporting.machine.now]
    revisions = [one.host.revision for one in published[told:]]
    assert revisions == sorted(set(revisions))


def test_events_of_an_absence_are_those_of_a_machine_that_was_never_away(store, tmp_path):
    sender, ingest = Sender(), Ingest(store)
    fill(ingest, sender, 5)
    sender.many(100)
    sender.next(full=True)
    published = []
    ingest._publish = published.append
    ingest.accept("atlas", [sender.frames[105]], sender.machine.now)
    told_live = [one.event.kind for publication in published for one in publication.events]
    assert "host.back" in told_live
    for start in range(5, 105, 20):
        ingest.accept("atlas", [sender.frames[seq] for seq in range(start, start + 20)], sender.machine.now)
    assert len(published) == 1
    ingest.flush()
    found = [one for one in events(store) if one.kind != "host.back"]

    other = SqliteStore(tmp_path / "other", reserve_bytes=0)
    never_away = Ingest(other)
    for seq, frame in sender.frames.items():
        never_away.accept("atlas", [frame], sender.times[seq])
    never_away.flush()
    expected = events(other)
    other.close()
    assert [one for one in expected if one.kind == "process.exited"]
    assert sorted((one.at, one.kind, one.subject) for one in found) == sorted(
        (one.at, one.kind, one.subject) for one in expected
    )
    assert [one.at for one in found] == sorted(one.at for one in found)


def test_late_frames_without_their_beginning_are_told_so_and_the_agent_drops_them(store, tmp_path):
    before = SqliteStore(tmp_path / "before", reserve_bytes=0)
    reporting = Reporting(Ingest(before), Spool(str(tmp_path / "spool"), 64 << 20))
    for _ in range(3):
        reporting.look()
    before.close()
    reporting.wire.there = False
    for _ in range(130):
        reporting.look()
    reporting.wire.ingest = Ingest(store)  # the bridge's store is a new one
    reporting.wire.there = True
    for _ in range(40):
        reporting.look()
    assert reporting.outbox.waiting == 0
    assert any(one.status == 409 and one.need is None for one in reporting.wire.answers)
    assert reporting.wire.answers[-1].status == 200
    assert 0 < reporting.outbox.dropped <= 60
    exact = 0
    for at, state in reporting.seen.items():
        try:
            found = store.state_at("atlas", at)
        except Exception:  # noqa: S112 - a gap
            continue
        assert found.state == state
        exact += 1
    assert exact == len(reporting.seen) - 3 - reporting.outbox.dropped


def test_a_bridge_that_lost_its_store_takes_what_the_spool_has_of_use(store, tmp_path):
    sender = Sender()
    sender.many(3)
    sender.next(full=True)
    ingest = Ingest(store)
    ingest.accept("atlas", [sender.frames[3]], sender.machine.now)
    with pytest.raises(UnplaceableError, match="drop them"):
        ingest.accept("atlas", [sender.frames[1], sender.frames[2]], sender.machine.now)
    assert ingest.unplaceable == 1
    assert ingest.accept("atlas", [sender.frames[0], sender.frames[1]], sender.machine.now).accepted == 2
    with pytest.raises(NeedFullError):
        ingest.accept("atlas", [msgspec.structs.replace(sender.frames[1], epoch=EPOCHS[5])], sender.machine.now)
