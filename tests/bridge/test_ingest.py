"""Ingest: order, duplicates, clocks, identities."""

import msgspec
import pytest

from parts.simulated import EPOCHS, Sender, fill
from safetytwin.bridge.ingest import Ingest
from safetytwin.bridge.ingest_work import InvalidFrameError, NeedFullError
from safetytwin.bridge.stores.base import EventQuery, StoreFullError
from safetytwin.bridge.stores.sqlite import SqliteStore
from safetytwin.models.change import Change
from safetytwin.models.system_state import SystemState


@pytest.fixture
def store(tmp_path):
    store = SqliteStore(tmp_path, reserve_bytes=0)
    yield store
    store.close()


@pytest.fixture
def published():
    return []


@pytest.fixture
def ingest(store, published):
    return Ingest(store, published.append)


def twin(ingest):
    return ingest.hosts["atlas"].twin.canonical_bytes()


def kinds(store):
    return [one.event.kind for one in store.events(EventQuery(limit=1000))][::-1]


def test_each_frame_is_published_with_its_change_and_revision(ingest, published):
    sender = Sender()
    fill(ingest, sender, 3)
    assert [one.host.revision for one in published] == [1, 2, 3]
    assert [one.change for one in published] == [None, sender.frames[1].change, sender.frames[2].change]
    assert [one.event.kind for one in published[0].events] == ["host.up"]


def test_duplicates_are_answered_and_change_nothing(ingest, store):
    sender = Sender()
    frames = sender.many(5)
    first = ingest.accept("atlas", [*frames, frames[2]], sender.machine.now)
    again = ingest.accept("atlas", frames, sender.machine.now + 5)
    assert (first.accepted, first.duplicates) == (5, 1)
    assert (again.accepted, again.duplicates, again.seq, again.revision) == (0, 5, first.seq, first.revision)
    assert store.span("atlas", None, None).revisions == 5


def test_frames_out_of_order_in_one_request_are_put_in_order(ingest, store):
    sender = Sender()
    ingest.accept("atlas", sender.many(5)[::-1], sender.machine.now)
    assert twin(ingest) == sender.states[4]
    assert store.span("atlas", None, None).revisions == 5


def test_a_missing_frame_needs_a_full_one_and_what_was_before_it_is_kept(ingest):
    sender = Sender()
    frames = sender.many(5)
    with pytest.raises(NeedFullError):
        ingest.accept("atlas", frames[:2] + frames[3:], sender.machine.now)
    assert twin(ingest) == sender.states[1]
    with pytest.raises(NeedFullError):
        ingest.accept("rhea", [msgspec.structs.replace(frames[1], host_id="rhea")], sender.machine.now)
    full = sender.next(full=True)
    ingest.accept("atlas", [full], sender.machine.now)
    assert twin(ingest) == sender.states[5]


def test_newest_first_after_an_absence_the_rest_is_filed_in_the_past(ingest, store, published):
    sender = Sender()
    fill(ingest, sender, 5)
    sender.many(100)
    sender.next(full=True)
    back = sender.machine.now
    ingest.accept("atlas", [sender.frames[105]], back)
    told = len(published)
    for start in range(5, 105, 20):
        ingest.accept("atlas", [sender.frames[seq] for seq in range(start, start + 20)], back + start)
    assert twin(ingest) == sender.states[105]
    assert len(published) == told
    for seq, at in sender.times.items():
        found = store.state_at("atlas", at)
        assert (found.state, found.frame.at) == (sender.states[seq], pytest.approx(at, abs=0.01))
    assert store.span("atlas", None, None).gaps == ()


def test_a_run_that_waited_in_the_spool_is_filed_before_the_current_one(ingest, store):
    earlier = Sender()
    waited = earlier.many(20)
    current = Sender(epoch=EPOCHS[1], machine=earlier.machine, boot_age=1000.0 + 190.0)
    ingest.accept("atlas", [current.next()], current.machine.now)
    ingest.accept("atlas", waited, current.machine.now + 1)
    assert twin(ingest) == current.states[0]
    assert [mark.epoch for mark in store.epochs("atlas")] == [earlier.epoch, current.epoch]
    for seq, at in earlier.times.items():
        assert store.state_at("atlas", at + 0.01).state == earlier.states[seq]


@pytest.mark.parametrize("jump", [-12 * 3600, 10 * 365 * 86400])
def test_a_wall_clock_that_jumps_does_not_tear_the_history(ingest, store, jump):
    sender = Sender()
    fill(ingest, sender, 3)
    for _ in range(3):
        frame = sender.next()
        shifted = msgspec.structs.replace(
            frame, observed_at="2000-01-01T00:00:00.000Z" if jump < 0 else "2037-01-01T00:00:00.000Z"
        )
        ingest.accept("atlas", [shifted], sender.machine.now)
    assert twin(ingest) == sender.states[5]
    for seq, at in sender.times.items():
        assert store.state_at("atlas", at).state == sender.states[seq]


def test_an_invalid_frame_is_refused_with_all_of_its_request(ingest):
    sender = Sender()
    frames = sender.many(2)
    broken = sender.next(full=True)
    broken = msgspec.structs.replace(broken, state={**broken.state, "processes": [{"pid": "x"}]})
    with pytest.raises(InvalidFrameError, match="pid") as caught:
        ingest.accept("atlas", [*frames, broken], sender.machine.now)
    assert caught.value.index == 2
    assert ingest.hosts == {}


def test_fields_of_newer_agents_are_kept(ingest, store):
    sender = Sender()
    frame = sender.next()
    newer = msgspec.structs.replace(frame, state={**frame.state, "quantum": {"bits": 3}})
    ingest.accept("atlas", [newer], sender.machine.now)
    assert b'"quantum":{"bits":3}' in store.state_at("atlas", sender.machine.now).state


def test_what_could_not_be_written_is_not_taken(ingest, store, monkeypatch):
    sender = Sender()
    fill(ingest, sender, 2)
    frame = sender.next()

    def full(_batch):
        raise StoreFullError("full")

    with monkeypatch.context() as patched:
        patched.setattr(store, "append", full)
        with pytest.raises(StoreFullError):
            ingest.accept("atlas", [frame], sender.machine.now)
    assert twin(ingest) == sender.states[1]
    assert ingest.accept("atlas", [frame], sender.machine.now).accepted == 1


def test_whole_states_update_the_twin_and_the_same_again_changes_nothing(ingest, store):
    machine = Sender().machine
    first, second = machine.look(), machine.look()
    assert ingest.accept_state(first, 1.8e9).accepted == 1
    same = msgspec.structs.replace(first, timestamp="2026-01-31T14:00:00.000Z", seq=9)
    assert (ingest.accept_state(same, 1.8e9 + 5).accepted, ingest.hosts["atlas"].revision) == (0, 1)
    updated = ingest.accept_state(second, 1.8e9 + 10)
    assert isinstance(updated.changes, Change)
    assert msgspec.convert(msgspec.json.decode(store.state_at("atlas", 1.8e9 + 10).state), SystemState) == second


def test_a_silent_machine_is_told_once_and_its_return_too(ingest, store):
    sender = Sender()
    fill(ingest, sender, 2)
    now = sender.machine.now
    ingest.check_silence(now + 30)
    assert ingest.hosts["atlas"].status(now + 30) == "live"
    ingest.check_silence(now + 61)
    ingest.check_silence(now + 90)
    assert ingest.hosts["atlas"].status(now + 61) == "silent"
    ingest.accept("atlas", [sender.next()], now + 120)
    assert ingest.hosts["atlas"].status(now + 120) == "live"
    assert [kind for kind in kinds(store) if kind in {"host.silent", "host.back"}] == ["host.silent", "host.back"]
