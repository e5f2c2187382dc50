"""A simulated machine whose frames a test sends by hand, and the states that it had."""

import itertools

from safetytwin.bridge.ingest import Ingest
from safetytwin.changes.diff import tree_of
from safetytwin.changes.trees import canonical_bytes
from safetytwin.fleet.frames import FrameMaker, sent
from safetytwin.fleet.machine import Machine

EPOCHS = [f"{number:016x}" for number in range(1, 20)]


class Sender:
    """Makes frames; states are kept by seq as canonical JSON."""

    def __init__(self, host_id="atlas", epoch=EPOCHS[0], *, processes=12, seed=0, boot_age=1000.0, machine=None):
        self.machine = machine or Machine(host_id, processes=processes, seed=seed)
        self.maker = FrameMaker(host_id, epoch, boot=self.machine.now - boot_age)
        self.epoch = epoch
        self.states = {}
        self.times = {}
        self.frames = {}
        self._numbers = itertools.count()

    def next(self, *, full=False):
        state = self.machine.look()
        seq = next(self._numbers)
        self.states[seq] = canonical_bytes(tree_of(state))
        self.times[seq] = self.machine.now
        self.frames[seq] = sent(self.maker.frame(state, self.machine.now, full=full))
        return self.frames[seq]

    def many(self, number):
        return [self.next() for _ in range(number)]


def fill(ingest: Ingest, sender: Sender, number: int) -> None:
    for _ in range(number):
        frame = sender.next()
        ingest.accept(frame.host_id, [frame], sender.machine.now)
