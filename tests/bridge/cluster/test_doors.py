"""Whichever of two bridges is asked, the answer is the owner's."""

import contextlib
import functools
import json
import os
import time

import httpx
import msgspec
import pytest
import zstandard

from parts.bridge import until
from parts.bridge_http import bare_state, full_frame, problem_of
from parts.simulated import EPOCHS, Sender
from safetytwin.agent.nats_client import NatsClient
from safetytwin.bridge.cluster.opening import joined
from safetytwin.bridge.server import BridgeOptions, BridgeThread
from safetytwin.bridge.stores.base import Retention
from safetytwin.nats_address import nats_address

HOSTS = [f"machine-{number}" for number in range(8)]


@contextlib.contextmanager
def bridge_on(server, folder):
    """Run a bridge in this process and give a client of it."""
    join = functools.partial(joined, address=nats_address(server.url), retention=Retention())
    options = BridgeOptions(folder, join=join, port=0)
    with BridgeThread(options) as url, httpx.Client(base_url=url, timeout=40) as client:
        yield client


@pytest.fixture(scope="module")
def doors(server, tmp_path_factory):
    """Give clients of two bridges that have machines of three states each."""
    folder = tmp_path_factory.mktemp("bridges")
    with bridge_on(server, folder / "first") as first, bridge_on(server, folder / "second") as second:
        for door in (first, second):
            until(lambda door=door: is_whole(door), "all shares were asked")
        for host_id in HOSTS:
            sender = Sender(host_id, epoch=EPOCHS[0])
            for door in (first, second, first):
                assert post(door, [sender.next()]).status_code == 200
        yield first, second


def is_whole(door):
    """Say whether a bridge answers for all machines, and knows who has them."""
    return (
        door.get("/api/v1/hosts").json()["incomplete"] is None
        and door.get("/api/v1/hosts/nobody").status_code == 404
        and all(door.get(f"/api/v1/hosts/{host_id}").status_code in {200, 404} for host_id in HOSTS)
    )


def post(door, frames, host_id=None):
    body = zstandard.ZstdCompressor().compress(msgspec.json.encode(frames))
    host_id = host_id or frames[0].host_id
    return door.post(f"/api/v1/hosts/{host_id}/frames", content=body, headers={"Content-Encoding": "zstd"})


def test_both_have_a_share(doors):
    # The doors' own figures count their own machines.
    shares = [
        next(
            int(float(line.rpartition(" ")[2]))
            for line in door.get("/metrics").text.splitlines()
            if line.startswith("safetytwin_bridge_store_frames ")
        )
        for door in doors
    ]
    assert sum(shares) == 3 * len(HOSTS)
    assert all(shares)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "?at=-0s",
        "?fields=hardware.hostname",
        "/events",
        "/series/names",
        "/series?names=cpu.usage,memory.used&from=2026-01-01T00:00:00Z&to=2040-01-01T00:00:00Z",
        "/moments",
    ],
)
def test_a_machine_is_told_of_alike(doors, path):
    for host_id in HOSTS:
        first, second = (door.get(f"/api/v1/hosts/{host_id}{path}") for door in doors)
        assert first.status_code == second.status_code == 200
        assert first.content == second.content
        assert first.headers.get("etag") == second.headers.get("etag")


def test_the_past_and_its_differences_are_told_alike(doors):
    for host_id in HOSTS:
        begin = doors[0].get(f"/api/v1/hosts/{host_id}/moments").json()["first"]
        for path in (f"?at={begin}", f"/diff?from={begin}&to=now&all=true"):
            first, second = (door.get(f"/api/v1/hosts/{host_id}{path}").json() for door in doors)
            assert first == second
            assert first


def test_what_is_wrong_is_told_alike(doors):
    for door in doors:
        for host_id in HOSTS:
            assert problem_of(door.get(f"/api/v1/hosts/{host_id}?at=tomorrow")).field == "?at"
            assert problem_of(post(door, [], host_id)).status == 422
        assert door.get("/api/v1/hosts/none-of-ours").status_code == 404


def test_questions_to_all_machines_are_put_together(doors):
    for path in ("/api/v1/hosts", "/api/v1/ai"):
        first, second = (door.get(path).json() for door in doors)
        assert [row["host_id"] for row in first["hosts"]] == HOSTS
        assert [row["host_id"] for row in second["hosts"]] == HOSTS


def test_pages_of_machines_hold_each_once(doors):
    for door in doors:
        found, cursor = [], ""
        while cursor is not None:
            page = door.get(f"/api/v1/hosts?limit=3{cursor and '&cursor=' + cursor}").json()
            assert len(page["hosts"]) <= 3
            found += [row["host_id"] for row in page["hosts"]]
            cursor = page["next"]
        assert found == HOSTS


def test_pages_of_events_hold_each_once_whichever_bridge_tells_the_next(doors):
    everything = doors[0].get("/api/v1/events?limit=1000").json()
    assert everything["next"] is None
    assert {event["host_id"] for event in everything["events"]} == set(HOSTS)
    found, cursor, turn = [], None, 0
    while cursor is not None or not found:
        page = (
            doors[turn % 2].get("/api/v1/events", params={"limit": 3} | ({"cursor": cursor} if cursor else {})).json()
        )
        found += page["events"]
        cursor, turn = page["next"], turn + 1
    assert found == everything["events"]


def test_a_whole_state_is_taken_at_any_door(doors):
    for host_id in ("script-1", "script-2", "script-3"):
        for seq, door in enumerate(doors):
            state = bare_state(host_id=host_id, processes=[{"pid": seq + 1, "start_ticks": 1, "name": "init"}])
            answer = door.post("/api/v1/update_state", json=state).json()
            assert (answer["status"], answer["revision"]) == ("updated", seq + 1)
    for door in doors:
        for host_id in ("script-1", "script-2", "script-3"):
            assert door.delete(f"/api/v1/hosts/{host_id}").status_code in {204, 404}
            assert door.get(f"/api/v1/hosts/{host_id}").status_code == 404


def test_frames_larger_than_a_message_of_nats_are_taken_at_any_door(doors):
    noise = [os.urandom(3000).hex() for _ in range(500)]
    for number in range(3):
        host_id = f"large-{number}"
        state = bare_state(host_id=host_id) | {
            "processes": [
                {"pid": pid, "start_ticks": 1, "name": "x", "cmdline": [text]} for pid, text in enumerate(noise, 1)
            ]
        }
        body = json.dumps([full_frame(host_id, state=state)]).encode()
        for door, accepted in zip(doors, (1, 0), strict=True):
            answer = door.post(f"/api/v1/hosts/{host_id}/frames", content=body)
            assert answer.json()["accepted"] == accepted
            told = door.get(f"/api/v1/hosts/{host_id}").json()
            assert [one["cmdline"] for one in told["processes"]] == [[text] for text in noise]
        assert doors[0].delete(f"/api/v1/hosts/{host_id}").status_code == 204


def test_a_stream_of_a_machine_follows_it_at_any_door(doors):
    for host_id in ("followed-1", "followed-2"):
        sender = Sender(host_id, epoch=EPOCHS[0])
        assert post(doors[0], [sender.next()]).status_code == 200
        for door in doors:
            with door.stream("GET", f"/api/v1/hosts/{host_id}/stream") as stream:
                events = named(stream)
                assert next(events) == "state"
                assert next(events) == "status"
                assert post(doors[1], [sender.next()]).status_code == 200
                assert "change" in (next(events) for _ in range(10))
        assert doors[0].delete(f"/api/v1/hosts/{host_id}").status_code == 204


def test_a_stream_that_is_left_is_ended_at_the_owner_too(doors):
    for host_id in HOSTS[:3]:
        for door in doors:
            with door.stream("GET", f"/api/v1/hosts/{host_id}/stream") as stream:
                assert next(named(stream)) == "state"
    until(lambda: all("\nsafetytwin_bridge_streams 0\n" in door.get("/metrics").text for door in doors), "all ended")


def test_the_stream_of_all_machines_has_those_of_both(doors):
    for door in doors:
        with door.stream("GET", "/api/v1/stream") as stream:
            rows = set()
            for line in stream.iter_lines():
                if line.startswith("data: "):
                    rows.add(json.loads(line.removeprefix("data: "))["host_id"])
                if rows >= set(HOSTS):
                    break


def test_frames_of_another_machine_than_the_subjects_are_refused(server, doors):
    sender = NatsClient(server.url, HOSTS[0], credentials_file=None, ca_file=None)
    try:
        frame = zstandard.ZstdCompressor().compress(json.dumps(full_frame(HOSTS[1], seq=9)).encode())
        answer = sender.send([frame])
    finally:
        sender.close()
    assert answer.status == 422
    assert HOSTS[1] in answer.detail


def test_frames_over_nats_are_told_at_any_door(server, doors):
    sender, frames = NatsClient(server.url, "by.nats", credentials_file=None, ca_file=None), Sender("by.nats")
    try:
        for _ in range(3):
            assert sender.send([zstandard.ZstdCompressor().compress(msgspec.json.encode(frames.next()))]).status == 200
    finally:
        sender.close()
    for door in doors:
        assert door.get("/api/v1/hosts/by.nats").headers["SafetyTwin-Revision"] == "3"
    assert doors[0].delete("/api/v1/hosts/by.nats").status_code == 204


def test_a_bridge_that_hangs_is_said_to_be_missing_and_not_left_out(server, doors, tmp_path, monkeypatch):
    monkeypatch.setattr("safetytwin.bridge.cluster.cluster._FLEET_SECONDS", 1.0)
    with bridge_on(server, tmp_path / "third") as third:
        until(lambda: is_whole(third), "the third took its share")
        # Its own session stays, but nothing of it answers any more.
        monkeypatch.setattr(
            "safetytwin.bridge.cluster.answering.run_inside", lambda app, ask, send: _never(), raising=True
        )
        began = time.monotonic()
        found = doors[0].get("/api/v1/hosts").json()
        assert "could not be asked" in found["incomplete"]
        assert time.monotonic() - began < 30
        monkeypatch.undo()
    until(lambda: all(is_whole(door) for door in doors), "the others have its share again")


async def _never():
    import asyncio

    await asyncio.Event().wait()


def named(stream):
    """Yield the names of a stream's events."""
    for line in stream.iter_lines():
        if line.startswith("event: "):
            yield line.removeprefix("event: ")
