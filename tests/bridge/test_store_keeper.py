"""The whole bridge over HTTP with its real store."""

import httpx
import msgspec
import zstandard

from parts.simulated import Sender
from safetytwin.bridge.server import BridgeOptions, BridgeThread
from safetytwin.bridge.store_keeper import open_keeper
from safetytwin.fleet.machine import Machine


def test_frames_are_kept_shown_now_and_then_and_after_a_restart(tmp_path):
    import time

    sender = Sender(machine=Machine("atlas", processes=12, start=time.time() - 300, interval=10))
    frames = sender.many(20)
    options = BridgeOptions(tmp_path, open_keeper, port=0)
    with BridgeThread(options) as url, httpx.Client(base_url=url) as client:
        body = zstandard.ZstdCompressor().compress(msgspec.json.encode(frames))
        answer = client.post("/api/v1/hosts/atlas/frames", content=body, headers={"Content-Encoding": "zstd"})
        assert answer.json()["accepted"] == 20, answer.text
        assert client.get("/api/v1/hosts/atlas").json() == msgspec.json.decode(sender.states[19])
        row = client.get("/api/v1/hosts").json()["hosts"][0]
        assert (row["hostname"], row["status"], row["summary"]["processes"]) == ("atlas", "live", 13)
        assert client.get("/api/v1/hosts/atlas/events").json()["events"][-1]["kind"] == "host.up"
        assert client.get("/api/v1/hosts/atlas/moments").json()["revisions"] == 20
        names = client.get("/api/v1/hosts/atlas/series/names").json()["names"]
        assert names["cpu.usage"] == "%"
        at = client.get("/api/v1/hosts/atlas").headers["SafetyTwin-At"]
        assert client.get("/api/v1/hosts/atlas", params={"at": at}).status_code == 200
    with BridgeThread(options) as url, httpx.Client(base_url=url) as client:
        assert client.get("/api/v1/hosts/atlas").json() == msgspec.json.decode(sender.states[19])
        body = msgspec.json.encode([sender.next()])
        answer = client.post("/api/v1/hosts/atlas/frames", content=body, headers={"Content-Type": "application/json"})
        assert answer.json()["revision"] == 21, answer.text
