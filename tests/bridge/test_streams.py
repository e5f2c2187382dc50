import asyncio
import json
import threading

import httpx
import pytest

from parts.bridge_http import change_frame, full_frame, post_frames, running
from safetytwin.bridge import streams as module
from safetytwin.bridge.limits import Limits
from safetytwin.bridge.streams import QUEUE_LENGTH, Message, Streams


def message(number, size=1):
    return Message.of("change", b"x" * size, str(number))


def ids(pieces):
    return [piece.partition(b"\n")[0].decode() for piece in pieces]


async def take(messages, count):
    return [await anext(messages) for _ in range(count)]


def whole_of(streams_state):
    return lambda: [Message.of("state", b"{}", str(streams_state[0]))]


def test_a_listener_is_told_the_whole_and_then_what_changes():
    async def scenario():
        streams = Streams(10, 10)
        listener = streams.open("a", "client")
        messages = listener.messages(whole_of([1]))
        first = await anext(messages)
        streams.publish("a", message(2))
        streams.publish("b", message(9))
        streams.publish("a", message(3))
        return ids([first, *await take(messages, 2)])

    assert asyncio.run(scenario()) == ["id: 1", "id: 2", "id: 3"]


def test_what_was_published_before_the_whole_was_read_is_not_told_twice():
    async def scenario():
        streams = Streams(10, 10)
        listener = streams.open("a", "client")
        streams.publish("a", message(2))
        messages = listener.messages(whole_of([2]))
        first = await anext(messages)
        streams.publish("a", message(3))
        return ids([first, await anext(messages)])

    assert asyncio.run(scenario()) == ["id: 2", "id: 3"]


@pytest.mark.parametrize(("size", "count"), [(1, QUEUE_LENGTH * 4), (module.QUEUE_BYTES // 4, 12)])
def test_a_slow_listener_gets_the_whole_anew_and_costs_no_more_memory(size, count):
    async def scenario():
        streams = Streams(10, 10)
        listener = streams.open("a", "client")
        now = [0]
        messages = listener.messages(whole_of(now))
        await anext(messages)
        for number in range(1, count):
            now[0] = number
            streams.publish("a", message(number, size))
            assert len(listener._queue.messages) <= QUEUE_LENGTH
            assert listener._queue.bytes <= module.QUEUE_BYTES + size
            assert streams._topics["a"].recent.bytes <= module.QUEUE_BYTES + size
        told = [await anext(messages)]
        now[0] = count
        streams.publish("a", message(count))
        return ids([*told, await anext(messages)])

    assert asyncio.run(scenario()) == [f"id: {count - 1}", f"id: {count}"]


def test_a_client_that_comes_back_is_told_only_what_it_missed():
    async def scenario():
        streams = Streams(10, 10)
        first = streams.open("a", "client")
        for number in range(5):
            streams.publish("a", message(number))
        streams.leave(first)
        streams.publish("a", message(5))
        back = streams.open("a", "client", last_seen="3").messages(whole_of(["whole"]))
        told = ids(await take(back, 2))
        late = streams.open("a", "client", last_seen="unknown").messages(whole_of(["whole"]))
        return told, ids(await take(late, 1))

    assert asyncio.run(scenario()) == (["id: 4", "id: 5"], ["id: whole"])


def test_a_topic_without_listeners_is_dropped_after_a_while(monkeypatch):
    async def scenario():
        streams = Streams(10, 10)
        assert not streams.listened("a")
        streams.leave(streams.open("a", "client"))
        assert streams.listened("a")
        monkeypatch.setattr(module, "LINGER_SECONDS", -1)
        assert not streams.listened("a")
        assert streams._topics == {}

    asyncio.run(scenario())


def test_there_are_only_so_many_of_all_and_of_one_client():
    async def scenario():
        streams = Streams(3, 2)
        listeners = [streams.open("a", "x"), streams.open("b", "x"), streams.open("a", "x"), streams.open("a", "y")]
        assert [listener is None for listener in listeners] == [False, False, True, False]
        assert streams.open("a", "z") is None
        streams.leave(listeners[0])
        streams.leave(listeners[0])
        assert len(streams) == 2
        assert streams.open("a", "z") is not None

    asyncio.run(scenario())


def test_a_silent_stream_shows_that_it_is_alive(monkeypatch):
    async def scenario():
        streams = Streams(10, 10)
        messages = streams.open("a", "client").messages(whole_of([1]))
        return await take(messages, 2)

    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.01)
    assert asyncio.run(scenario())[1] == module.HEARTBEAT


def read_events(lines, count):
    """Return (event, id, data) of the first events of a stream."""
    events, current = [], {}
    for line in lines:
        if line.startswith((":", "retry")):
            continue
        if line:
            name, _, value = line.partition(": ")
            current[name] = value
        elif current:
            events.append((current["event"], current.get("id"), json.loads(current["data"])))
            current = {}
            if len(events) == count:
                return events
    return events


def test_a_machine_is_followed_over_http(tmp_path):
    with running(tmp_path) as client:
        post_frames(client, [full_frame()])
        with client.stream("GET", "/api/v1/hosts/atlas/stream") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = answer.iter_lines()
            (state, identity, data), (status, _, row) = read_events(lines, 2)
            assert (state, identity, data["host_id"]) == ("state", "1", "atlas")
            assert (status, row["revision"]) == ("status", 1)
            post_frames(client, [change_frame(1, {"state": {"boot_id": "b"}})])
            (_, _, row), (change, identity, data) = read_events(lines, 2)
            assert row["revision"] == 2
            assert (change, identity, data) == ("change", "2", {"state": {"boot_id": "b"}})
        post_frames(client, [change_frame(2, {"state": {"boot_id": "c"}})])
        with client.stream("GET", "/api/v1/hosts/atlas/stream", headers={"Last-Event-ID": "2"}) as answer:
            events = read_events(answer.iter_lines(), 2)
            assert [(event, identity) for event, identity, _ in events] == [("status", None), ("change", "3")]
        with client.stream("GET", "/api/v1/stream") as answer:
            lines = answer.iter_lines()
            assert [event for event, _, _ in read_events(lines, 1)] == ["host"]
            post_frames(client, [full_frame("borea")], "borea")
            assert [row["host_id"] for _, _, row in read_events(lines, 1)] == ["borea"]
        assert client.get("/api/v1/hosts/absent/stream").status_code == 404
        assert client.head("/api/v1/hosts/atlas/stream").status_code == 200


def test_streams_of_clients_that_left_are_forgotten_and_too_many_are_refused(tmp_path):
    with running(tmp_path, limits=Limits(streams=2)) as client:
        for _ in range(5):
            with client.stream("GET", "/api/v1/stream") as answer:
                next(answer.iter_raw())
        end = threading.Event()
        for _ in range(200):
            if "safetytwin_bridge_streams 0" in client.get("/metrics").text:
                break
            end.wait(0.05)
        with client.stream("GET", "/api/v1/stream"), client.stream("GET", "/api/v1/stream"):
            refused = client.get("/api/v1/stream")
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) > 0


def test_a_bridge_that_ends_ends_its_streams(tmp_path):
    with running(tmp_path) as client:
        url = str(client.base_url)
        post_frames(client, [full_frame()])
        follower = httpx.Client(base_url=url)
        stream = follower.stream("GET", "/api/v1/hosts/atlas/stream")
        answer = stream.__enter__()
        lines = answer.iter_lines()
        read_events(lines, 2)
    # The bridge has ended; what is left of the stream is its proper end.
    assert [line for line in lines if line.startswith("event")] == []
    stream.__exit__(None, None, None)
    follower.close()
