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
            # Seconds on the way, with which an answer was still waited for; none: it could not be sent.
            "live": st.one_of(st.none(), st.integers(0, 15)),
            # Sent again out of the spool, whether or not it was here already.
            "drained": st.booleans(),
        }
    ),
    min_size=2 * LOOKS,
    max_size=2 * LOOKS,
)


def made(journeys):
    """Return the states of two runs of an agent, the frames sent live as (arrival, frame), the newest, the drained.

    What waits in a spool is sent after the newest state, as the protocol says.
    """
    machine = Machine("atlas", processes=3)
    boot = machine.now - 1000
    states, live, drained = {}, [], []
    for epoch, some in ((EPOCHS[0], journeys[:LOOKS]), (EPOCHS[1], journeys[LOOKS:])):
        maker = FrameMaker("atlas", epoch, boot=boot)
        for seq, journey in enumerate(some):
            state = machine.look()
            states[epoch, seq] = canonical_bytes(tree_of(state))
            frame = sent(maker.frame(state, machine.now, full=journey["full"]))
            if journey["live"] is not None:
                live.append((machine.now + journey["live"], frame))
            if journey["drained"]:
                drained.append(frame)
    state = machine.look()
    states[EPOCHS[1], LOOKS] = canonical_bytes(tree_of(state))
    newest = sent(maker.frame(state, machine.now, full=True))
    return states, sorted(live, key=lambda one: one[0]), newest, drained, machine


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(journeys=journeys, restarts=st.sets(st.integers(0, 4 * LOOKS), max_size=4), together=st.integers(1, 5))
def test_the_twin_is_the_newest_state_and_the_past_is_exact_or_a_gap(journeys, restarts, together):
    states, live, newest, drained, machine = made(journeys)
    # Once the run before has missed its looks nobody waits any more.
    requests = [live[number : number + together] for number in range(0, len(live), together)]
    requests.append([(machine.now + 60, newest)])
    later = [(machine.now + 60 + number, frame) for number, frame in enumerate(drained)]
    requests += [later[number : number + together] for number in range(0, len(later), together)]
    folder = Path(tempfile.mkdtemp())
    store = SqliteStore(folder, reserve_bytes=0)
    try:
        ingest = Ingest(store)
        accepted = set()
        for number, some in enumerate(requests):
            if number in restarts:
                store.close()
                store = SqliteStore(folder, reserve_bytes=0)
                ingest = Ingest(store)
            try:
                for epoch in dict.fromkeys(frame.epoch for _, frame in some):
                    ours = [frame for _, frame in some if frame.epoch == epoch]
                    ingest.accept("atlas", ours, some[-1][0])
                    accepted |= {(frame.epoch, frame.seq) for frame in ours}
            except RefusedError:
                continue
            host = ingest.hosts["atlas"]
            assert host.twin.canonical_bytes() == states[host.mark.epoch, host.seq]
        assert ingest.hosts["atlas"].twin.canonical_bytes() == states[EPOCHS[1], LOOKS]
        assert (EPOCHS[1], LOOKS) in accepted
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
