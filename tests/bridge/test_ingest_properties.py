"""Whatever becomes of frames and of the bridge: the twin is the newest state, the past is exact or a gap."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parts.simulated import EPOCHS
from safetytwin.bridge.ingest import Ingest
from safetytwin.bridge.ingest_work import RefusedError
from safetytwin.bridge.stores.base import StateMissingError
from safetytwin.bridge.stores.sqlite import SqliteStore
from safetytwin.changes.diff import tree_of
from safetytwin.changes.trees import canonical_bytes
from safetytwin.fleet.frames import FrameMaker, sent
from safetytwin.fleet.machine import Machine

LOOKS = 6
"""Of each of the two runs of the agent."""

journeys = st.lists(
    st.fixed_dictionaries(
        {
            "full": st.booleans(),
            "arrives": st.lists(st.integers(0, 150), max_size=2),  # seconds after the look; none: dropped
        }
    ),
    min_size=2 * LOOKS,
    max_size=2 * LOOKS,
)


def made(journeys):
    """Return the frames of two runs of an agent, the states they make, and when each arrives."""
    machine = Machine("atlas", processes=3)
    boot = machine.now - 1000
    states, arrivals = {}, []
    for epoch, some in ((EPOCHS[0], journeys[:LOOKS]), (EPOCHS[1], journeys[LOOKS:])):
        maker = FrameMaker("atlas", epoch, boot=boot)
        for seq, journey in enumerate(some):
            state = machine.look()
            states[epoch, seq] = canonical_bytes(tree_of(state))
            frame = sent(maker.frame(state, machine.now, full=journey["full"]))
            arrivals += [(machine.now + delay, frame) for delay in journey["arrives"]]
    state = machine.look()
    states[EPOCHS[1], LOOKS] = canonical_bytes(tree_of(state))
    return states, sorted(arrivals, key=lambda one: one[0]), sent(maker.frame(state, machine.now, full=True)), machine


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(journeys=journeys, restarts=st.sets(st.integers(0, 4 * LOOKS), max_size=4), together=st.integers(1, 5))
def test_the_twin_is_the_newest_state_and_the_past_is_exact_or_a_gap(journeys, restarts, together):
    states, arrivals, newest, machine = made(journeys)
    folder = Path(tempfile.mkdtemp())
    store = SqliteStore(folder, reserve_bytes=0)
    try:
        ingest = Ingest(store)
        accepted = set()
        for number in range(0, len(arrivals), together):
            some = arrivals[number : number + together]
            if number in restarts:
                store.close()
                store = SqliteStore(folder, reserve_bytes=0)
                ingest = Ingest(store)
            try:
                ingest.accept("atlas", [frame for _, frame in some], some[-1][0])
                accepted |= {(frame.epoch, frame.seq) for _, frame in some}
            except RefusedError:
                continue
            host = ingest.hosts["atlas"]
            assert host.twin.canonical_bytes() == states[host.mark.epoch, host.seq]
        ingest.accept("atlas", [newest], machine.now + 1000)
        assert ingest.hosts["atlas"].twin.canonical_bytes() == states[EPOCHS[1], LOOKS]
        accepted.add((EPOCHS[1], LOOKS))
        orders = {mark.epoch: mark.order for mark in store.epochs("atlas")}
        names = {order: epoch for epoch, order in orders.items()}
        # Of a request that was refused what came before the frame that was refused is kept too.
        kept = {(epoch, seq) for epoch, seq in states if epoch in orders and store.has("atlas", orders[epoch], seq)}
        assert accepted <= kept
        places = []
        for epoch, seq in kept:
            found = store.state_of("atlas", orders[epoch], seq)
            assert found.state == states[epoch, seq]
            places.append((found.frame.at, orders[epoch], seq))
        assert [place[1:] for place in sorted(places)] == sorted(place[1:] for place in places)
        for at, order, seq in places:
            assert store.state_at("atlas", at).state == states[names[order], seq]
            try:
                found = store.state_at("atlas", at + 4)
            except StateMissingError:
                continue
            frame = found.frame
            assert found.state == states[names[frame.order], frame.seq]
            # It may have lasted until then: no look that is missing was made between, as far as its run's frames tell.
            epoch = names[order]
            followed = any(one == epoch and number > seq for one, number in kept)
            assert (frame.order, frame.seq) != (order, seq) or not followed or (epoch, seq + 1) in kept
    finally:
        store.close()
        shutil.rmtree(folder)
