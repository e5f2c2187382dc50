"""Whatever is written, both stores answer every question alike."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parts.nats import linked, nats_server
from parts.simulated import EPOCHS, Sender
from safetytwin.bridge.ingest import Ingest
from safetytwin.bridge.ingest_work import RefusedError
from safetytwin.bridge.stores.base import EventQuery, StateMissingError
from safetytwin.bridge.stores.jetstream import JetStreamStore
from safetytwin.bridge.stores.sqlite import SqliteStore


class Recorder:
    """A store that remembers what was written to it."""

    def __init__(self, store):
        self.store = store
        self.batches = []

    def __getattr__(self, name):
        return getattr(self.store, name)

    def append(self, batch):
        self.batches.append(batch)
        return self.store.append(batch)


@pytest.fixture(scope="module")
def link(tmp_path_factory):
    with nats_server(tmp_path_factory.mktemp("nats")) as server, linked(server.url) as link:
        yield link


steps = st.lists(
    st.tuples(st.sampled_from(["atlas", "rhea.example"]), st.booleans(), st.booleans(), st.integers(0, 90)),
    min_size=5,
    max_size=60,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=steps)
def test_random_frames_are_told_alike(link, steps):
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(SqliteStore(Path(folder), reserve_bytes=0))
        ingest = Ingest(recorder)
        senders = {host_id: Sender(host_id, epoch=EPOCHS[0], processes=5) for host_id in ("atlas", "rhea.example")}
        for host_id, full, lost, late in steps:
            frame = senders[host_id].next(full=full)
            if lost:
                continue
            try:
                ingest.accept(host_id, [frame], senders[host_id].machine.now + late)
            except RefusedError:
                continue
        prefix = f"alike{Path(folder).name}"
        writer = JetStreamStore(link, prefix=prefix)
        for batch in recorder.batches:
            writer.append(batch)
        reader = JetStreamStore(link, prefix=prefix)
        moments = sorted({frame.at for batch in recorder.batches for frame in batch.frames})
        expected = answers(recorder.store, moments)
        for store in (writer, reader):
            assert answers(store, moments) == expected
            store.close()
        recorder.store.close()


def answers(store, moments):
    """Return what a store says of all that can be asked, but for the events' numbers."""
    found = [store.hosts()]
    for host_id in ("atlas", "rhea.example", "none"):
        marks = store.epochs(host_id)
        found += [marks, store.refusals(host_id), store.last_revision(host_id), store.latest(host_id)]
        found += [store.span(host_id, None, None), store.series_names(host_id)]
        found.append(told(store, host_id))
        found.append(store.series(host_id, ["cpu.usage", "processes"], 0, 4e9, 0))
        found.append(store.series(host_id, ["cpu.usage", "processes"], 0, 4e9, 60))
        found += [past(store, host_id, moment + step) for moment in moments for step in (-1, 0, 5)]
        for mark in marks:
            found += [store.began_at(host_id, mark.order), store.last_of(host_id, mark.order)]
            for seq in range(len(moments) + 5):
                found += [store.has(host_id, mark.order, seq), store.neighbours(host_id, mark.order, seq)]
    return found


def told(store, host_id):
    return [(one.host_id, one.event) for one in store.events(EventQuery(host_id, limit=1000))]


def past(store, host_id, moment):
    try:
        return store.state_at(host_id, moment)
    except StateMissingError:
        return None
