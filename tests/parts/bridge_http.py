"""A bridge for tests of the HTTP side: a real server in a thread, twins in memory."""

import contextlib
import copy
import json

import httpx
import msgspec
import zstandard

from parts.memory_keeper import MemoryKeeper
from safetytwin.bridge.problems import ProblemDetails
from safetytwin.bridge.server import BridgeOptions, BridgeThread

EPOCH = "0123456789abcdef"
TIME = "2026-01-31T14:00:00Z"


@contextlib.contextmanager
def memory_keeper(data_dir, publish):
    yield MemoryKeeper(publish)


@contextlib.contextmanager
def running(data_dir, **options):
    """Start a bridge and give a client of it."""
    with (
        BridgeThread(BridgeOptions(data_dir, memory_keeper, port=0, **options)) as url,
        httpx.Client(base_url=url) as client,
    ):
        yield client


def bare_state(**changes):
    return {
        "schema": 1,
        "host_id": "atlas",
        "seq": 0,
        "timestamp": TIME,
        "hardware": {"hostname": "atlas"},
        "services": [],
        "processes": [],
        "agent": {"version": "1", "backend": "proc", "collectors": {}},
    } | changes


def full_frame(host_id="atlas", seq=0, **changes):
    return {
        "host_id": host_id,
        "epoch": EPOCH,
        "seq": seq,
        "kind": "full",
        "observed_at": TIME,
        "monotonic": 100.0 + seq,
        "state": bare_state(host_id=host_id),
    } | changes


def change_frame(seq, change, host_id="atlas", **changes):
    frame = full_frame(host_id, seq, kind="change", change=copy.deepcopy(change), **changes)
    del frame["state"]
    return frame


def post_frames(client, frames, host_id="atlas", **headers):
    body = zstandard.ZstdCompressor().compress(json.dumps(frames).encode())
    return client.post(f"/api/v1/hosts/{host_id}/frames", content=body, headers={"Content-Encoding": "zstd"} | headers)


def problem_of(response):
    """Return the problem that an answer is, having seen that it is one."""
    assert response.headers["content-type"] == "application/problem+json"
    details = msgspec.json.decode(response.content, type=ProblemDetails)
    assert details.status == response.status_code
    assert details.detail
    return details
