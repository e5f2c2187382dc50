"""A real bridge in a thread, with its store, and machines that are fed to it."""

import contextlib
import time

import httpx
import msgspec
import zstandard

from safetytwin.bridge.server import BridgeOptions, BridgeThread
from safetytwin.bridge.twin_keeper import sqlite_keeper
from safetytwin.changes.diff import tree_of
from safetytwin.fleet.frames import FrameMaker
from safetytwin.models.timestamps import timestamp

EPOCH = "00000000000000{:02x}"
BATCH = 60
"""Frames in one request."""


@contextlib.contextmanager
def fed_bridge(data_dir, *, port=0, **options):
    """Start a bridge with a store and give its URL."""
    with BridgeThread(BridgeOptions(data_dir, sqlite_keeper, port=port, **options)) as url:
        yield url


class Feeder:
    """Sends the looks of one machine, as its agent would."""

    def __init__(self, url, machine, host_id="atlas", epoch=1, token=None):
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._client = httpx.Client(base_url=url, headers=headers, timeout=30)
        self.machine = machine
        self.host_id = host_id
        self._boot = time.time() - 200_000
        self._frames = FrameMaker(host_id, EPOCH.format(epoch), boot=self._boot)

    def history(self, looks, interval=10.0):
        """Send looks of the time before now: the newest first, then the others from the oldest, as after an absence."""
        end = time.time()
        begin = end - interval * (looks - 1)
        frames = [self._frames.frame(self.look_at(begin + interval * n), begin + interval * n) for n in range(looks)]
        newest = msgspec.structs.replace(frames[-1], kind="full", change=None, state=tree_of(self._last))
        self._post([newest])
        for first in range(0, looks - 1, BATCH):
            self._post(frames[first : min(first + BATCH, looks - 1)])

    def look(self):
        """Send the look of now."""
        now = time.time()
        self._post([self._frames.frame(self.look_at(now), now)])

    def look_shown(self):
        """Return the look that was sent last."""
        return self._last

    def look_at(self, at):
        state = self.machine.look()
        self._last = msgspec.structs.replace(state, timestamp=timestamp(at))
        return self._last

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._client.close()

    def _post(self, frames):
        body = zstandard.ZstdCompressor().compress(msgspec.json.encode(frames))
        answer = self._client.post(
            f"/api/v1/hosts/{self.host_id}/frames",
            content=body,
            headers={"Content-Encoding": "zstd", "Content-Type": "application/json"},
        )
        assert answer.status_code == 200, answer.text
