"""Ingests frames of a simulated machine until it is killed; prints what was acknowledged.

python ingest_harness.py DATA SEED FIRST_LOOK: one line "SEQ DIGEST" for each acknowledged look, digest of its state.
"""

import hashlib
import sys
from pathlib import Path

from safetytwin.bridge.ingest import Ingest
from safetytwin.bridge.ingest_work import NeedFullError
from safetytwin.bridge.stores.sqlite import SqliteStore
from safetytwin.changes.diff import tree_of
from safetytwin.changes.trees import canonical_bytes
from safetytwin.fleet.frames import FrameMaker, sent
from safetytwin.fleet.machine import Machine

EPOCH = "0123456789abcdef"


def digest(state):
    return hashlib.sha256(state).hexdigest()


def main(data, acknowledged):
    ingest = Ingest(SqliteStore(Path(data), reserve_bytes=0))
    machine = Machine("atlas", processes=20)
    maker = FrameMaker("atlas", EPOCH, boot=machine.now - 1000)
    for seq in range(100_000):
        state = machine.look()
        frame = sent(maker.frame(state, machine.now))
        if seq < acknowledged - 3:
            continue  # the last ones are sent again, as an agent does that did not hear of them
        try:
            ingest.accept("atlas", [frame], machine.now)
        except NeedFullError:
            print("need", seq, flush=True)
            return
        print(seq, digest(canonical_bytes(tree_of(state))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
