"""The JetStream store when what is below it fails, and when two bridges write."""

import itertools
import os
import random
import time

import pytest

from parts.bridge import until
from parts.nats import linked, nats_cluster, nats_server
from parts.simulated import Sender, fill
from safetytwin.bridge.ingest import Ingest
from safetytwin.bridge.stores.base import StoreError, StoreFullError, StoreMovedError
from safetytwin.bridge.stores.jetstream import JetStreamStore, jetstream_store

ROUNDS = int(os.environ.get("TEST_KILL_ROUNDS", "3"))


def sent(ingest, frame, now):
    """Send a frame as an agent does: until it is acknowledged."""

    def once():
        try:
            return ingest.accept(frame.host_id, [frame], now)
        except StoreError:
            time.sleep(0.2)
            return None

    return until(once, "the frame was taken", 120)


def test_who_writes_behind_another_is_told_and_loads_the_machine_again(tmp_path):
    with nats_server(tmp_path) as server, linked(server.url) as link:
        sender = Sender()
        stores = [JetStreamStore(link), JetStreamStore(link)]
        old = Ingest(stores[0])
        fill(old, sender, 5)
        new = Ingest(stores[1])
        fill(new, sender, 5)
        # What the old one reads meanwhile does not let it write.
        assert stores[0].state_at("atlas", sender.machine.now).state == sender.states[9]
        frame = sender.next(full=True)
        with pytest.raises(StoreMovedError):
            old.accept("atlas", [frame], sender.machine.now)
        assert old.hosts["atlas"].seq == 9
        old.accept("atlas", [frame], sender.machine.now)
        again = new_store_states(link, sender)
        assert again == [sender.states[seq] for seq in range(11)]
        for store in stores:
            store.close()


def new_store_states(link, sender):
    store = JetStreamStore(link)
    try:
        order = store.epochs("atlas")[0].order
        assert store.span("atlas", None, None).revisions == len(sender.frames)
        return [store.state_of("atlas", order, seq).state for seq in sorted(sender.frames)]
    finally:
        store.close()


def test_servers_killed_in_turn_lose_and_double_nothing(tmp_path):
    rng = random.Random(7)
    with nats_cluster(tmp_path) as cluster, linked(cluster.url) as link:
        store = JetStreamStore(link, replicas=3)
        ingest = Ingest(store)
        sender = Sender()
        fill(ingest, sender, 1)
        for server, _ in zip(itertools.cycle(cluster.servers), range(ROUNDS), strict=False):
            for _ in range(rng.randrange(1, 5)):
                sent(ingest, sender.next(), sender.machine.now)
            server.kill()
            for _ in range(5):
                sent(ingest, sender.next(), sender.machine.now)
            server.start()
        assert ingest.hosts["atlas"].twin.canonical_bytes() == sender.states[max(sender.states)]
        assert new_store_states(link, sender) == [sender.states[seq] for seq in sorted(sender.states)]
        store.close()


def test_a_single_server_killed_and_started_again_goes_on(tmp_path):
    with nats_server(tmp_path) as server, linked(server.url) as link:
        store = JetStreamStore(link)
        ingest = Ingest(store)
        sender = Sender()
        for _ in range(ROUNDS):
            fill(ingest, sender, 5)
            server.kill()
            with pytest.raises(StoreError):
                ingest.accept("atlas", [sender.next()], sender.machine.now)
            server.start()
            sent(ingest, sender.frames[max(sender.frames)], sender.machine.now)
        assert new_store_states(link, sender) == [sender.states[seq] for seq in sorted(sender.states)]
        store.close()


def test_a_full_stream_refuses_and_what_was_acknowledged_is_there(tmp_path):
    with nats_server(tmp_path) as server, linked(server.url) as link:
        store = JetStreamStore(link, max_bytes=200_000)
        ingest = Ingest(store)
        sender = Sender()
        with pytest.raises(StoreFullError, match="no room"):
            fill(ingest, sender, 3000)
        assert store.stats().full
        refused = max(sender.frames)
        del sender.frames[refused], sender.states[refused]
        assert ingest.hosts["atlas"].twin.canonical_bytes() == sender.states[refused - 1]
        assert new_store_states(link, sender) == [sender.states[seq] for seq in sorted(sender.states)]
        store.close()


def test_a_state_larger_than_a_message_is_kept_in_parts(tmp_path):
    with nats_server(tmp_path, config="max_payload: 6000") as server, linked(server.url) as link:
        store = JetStreamStore(link)
        sender = Sender(processes=200)
        fill(Ingest(store), sender, 20)
        assert new_store_states(link, sender) == [sender.states[seq] for seq in sorted(sender.states)]
        assert store.stats().damaged == 0
        store.close()


def test_options_of_the_address_make_the_stream_and_wrong_ones_are_refused(tmp_path):
    with nats_server(tmp_path) as server, linked(server.url) as link:
        for options, why in (
            ([("replica", "3")], "no option 'replica'"),
            ([("replicas", "2")], "1, 3 or 5"),
            ([("max_bytes", "5G")], "whole number"),
            ([("replicas", "3")], "can't be made"),  # a server alone
        ):
            with pytest.raises(StoreError, match=why):
                jetstream_store(link, options)
        jetstream_store(link, [("replicas", "1"), ("max_bytes", "100000")]).close()
        config = link.call(lambda client: client.jetstream().stream_info("safetytwin-history")).config
        assert (config.num_replicas, config.max_bytes) == (1, 100_000)
